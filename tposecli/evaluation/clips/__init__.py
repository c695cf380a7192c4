"""How good poses, tracks and smoothing are, against a truth that is known."""
