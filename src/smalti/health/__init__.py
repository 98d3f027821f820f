"""Finds faults of a run by the numbers of its metrics, and what to do about them."""
