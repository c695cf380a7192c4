"""Measuring and making material: benchmarks and rendered people. No command that users run on their data needs it."""
