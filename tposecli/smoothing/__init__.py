"""Keypoints over time: swaps repaired, outliers found, gaps filled, jitter filtered."""
