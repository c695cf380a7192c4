"""Ways to run a net: torch as it is, compiled by torch, or exported to another runtime."""
