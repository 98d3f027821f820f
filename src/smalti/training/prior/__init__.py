"""Stage 2: the codes of a data set, and the step of the prior."""
