"""A page about one run: its health, its curves and its pictures."""
