"""GPT, the transformer of the paper."""
