"""Formats of other programs that are written as a whole, when a run is over: one module per format or library."""
