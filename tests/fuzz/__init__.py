"""Damaged files, made at random, for everything that reads files of others: ``python -m tests.fuzz --minutes 5``."""
