"""The demonstration: trains both stages on photographs without a download, and writes a page."""
