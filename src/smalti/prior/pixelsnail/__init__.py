"""PixelSNAIL, the convolutional prior that the paper compares with."""
