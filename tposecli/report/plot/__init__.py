"""Plots of angles, positions and speeds over time, of one take or of several."""
