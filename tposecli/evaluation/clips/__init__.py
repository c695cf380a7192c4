"""Accuracy of poses, tracks and smoothing on clips with a known ground truth."""
