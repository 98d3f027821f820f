"""codes <-> tokens: the order of the grid, and where each part of the sequence lies."""
