"""Sinks with pixels or sound: annotated videos and images, crops, the live window; and the writers below them."""
