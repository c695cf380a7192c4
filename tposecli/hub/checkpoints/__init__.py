"""Checkpoints of models: where they are, whether they are intact, loading them."""
