"""Files that are fetched and kept: downloads, checkpoints, data sets."""
