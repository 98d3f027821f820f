"""Import and export of other programs' models."""
