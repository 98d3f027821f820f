"""logits -> tokens -> codes -> images."""
