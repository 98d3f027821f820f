"""The demonstration: both stages on photographs that need no download, and a page of results."""
