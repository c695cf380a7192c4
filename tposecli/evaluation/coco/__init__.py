"""Evaluation on COCO keypoint sets, following the authors' protocol."""
