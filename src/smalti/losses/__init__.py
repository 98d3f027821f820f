"""Losses of stage 1 and the networks that they need."""
