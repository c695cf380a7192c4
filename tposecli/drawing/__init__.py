"""Draw poses on images."""
