"""What the numbers of a run say is going wrong, and what may be done about it."""
