"""Compiled loops over arrays: no validation, no randomness, no input or output, no Python objects.

Nothing here checks its arguments: an array of the wrong length is read out of bounds. The layers above
validate once, at construction, and own a Python function of the same name for each kernel. A kernel that fills rows
returns the first nonzero status that a function of the family gave, 0 when all is well.
"""
