"""Runs from input to outputs: the chain of stages, jobs, resuming, and repeating later stages from stored poses."""
