"""Inference: from crops to keypoints, on any device and backend."""
