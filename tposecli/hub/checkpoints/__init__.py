"""Model checkpoints: locating, verifying and loading them."""
