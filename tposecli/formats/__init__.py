"""Pose file formats: one module per format with its reader and writer, and the table that lists them."""
