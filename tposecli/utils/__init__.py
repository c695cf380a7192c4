"""Helpers that any package may use: files, locks, threads, signals, errors, JSON."""
