"""Attention as statistics, overlay, figure and files."""
