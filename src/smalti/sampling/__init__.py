"""Sampling: draws codes by a prior's logits, and decodes them into images."""
