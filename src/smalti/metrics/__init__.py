"""Measures of what was learned. Of them only the negative log-likelihood is also trained on."""
