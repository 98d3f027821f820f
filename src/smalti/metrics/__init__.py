"""Measures of what was learned; none of them is trained on."""
