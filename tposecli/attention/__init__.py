"""Attention maps as statistics, overlays, figures and files."""
