"""Nets at work: crops in, keypoints out, on any device and backend."""
