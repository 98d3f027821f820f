"""codes <-> tokens: the order of the grid, what stands before it, and where each part lies."""
