"""Measurements that print the tables and draw the pictures of the README; run with ``python -m tests.studies.NAME``."""
