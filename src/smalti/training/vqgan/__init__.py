"""Stage 1: training of the tokenizer and its discriminator."""
