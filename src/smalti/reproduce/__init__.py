"""The comparisons of the paper, each trained, measured and judged by one command."""
