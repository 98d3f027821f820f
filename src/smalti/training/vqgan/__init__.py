"""Stage 1: the step of the tokenizer and its adversary."""
