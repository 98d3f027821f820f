"""Tokenizers turn images into codes and codes into images: the first stage.

Reference: arXiv:2012.09841, Sec. 3.1.
"""
