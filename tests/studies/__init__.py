"""Measurements that print the tables and draw the pictures of the documentation; ``python -m tests.studies.NAME``."""
