"""Evaluation: on COCO keypoint sets (``coco``), and of whole clips against a known ground truth (``clips``)."""
