"""Turns grids of codes into sequences of tokens and back: ordering and layout."""
