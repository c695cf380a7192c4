"""Accuracy: of models on COCO-style data sets, and of finished runs against known truth."""
