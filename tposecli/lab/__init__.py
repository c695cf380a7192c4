"""Benchmarks, and rendered people for tests and training. Nothing that processes users' data depends on it."""
