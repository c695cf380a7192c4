"""Benchmarks, training, and rendered people for both. Nothing that processes users' data depends on it."""
