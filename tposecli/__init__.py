"""Human poses from videos and pictures with TransPose, and the attention that explains them."""

__version__ = "0.1.0"
