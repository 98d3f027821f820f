"""Data that is read with each image of a data set, such as its label map; see `smalti.conditions`.

This folder does not know which kinds there are.
"""
