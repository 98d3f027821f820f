"""Codes of whole data sets in shards on disk: how they are made, checked and read.

docs/codes.md describes the files.
"""
