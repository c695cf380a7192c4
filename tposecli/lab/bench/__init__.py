"""Benchmarks: the machine's ceilings, nets, stages, whole runs, and how the cost scales."""
