"""The version of the program, here because every package may name it."""

__version__ = "0.1.0"
