"""Data and helpers shared by several tests."""
