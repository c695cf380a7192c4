"""One HTML page of a run, with its video, poses, curves, worst moments and attention; it needs no network."""
