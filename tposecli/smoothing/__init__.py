"""Joints along time: gaps filled, outliers found, jitter calmed; filters that look ahead, and one that does not."""

from tposecli.smoothing.base import Chain, Smoother
from tposecli.smoothing.one_euro import OneEuro, OneEuroOptions

__all__ = ["Chain", "OneEuro", "OneEuroOptions", "Smoother"]
