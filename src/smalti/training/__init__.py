"""Training: one step function per stage, one loop for both."""
