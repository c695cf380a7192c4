"""COCO JSON, the format of the field."""
