"""Geometry of poses: keypoint sets, crops, heatmaps, similarity."""
