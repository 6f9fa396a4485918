"""Mutated flags, files and networks: a value or one line, never a traceback, and nothing is run or damaged."""
