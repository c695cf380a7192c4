"""Evaluation: on COCO keypoint sets (``coco``), of explanations (``explain``), and of whole clips (``clips``)."""
