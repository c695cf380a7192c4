"""Learning-rate schedules. No torch here."""

from __future__ import annotations

import math


def warm_up(step: int, steps: int) -> float:
    """Return the factor of the learning rate during warm-up: it rises linearly to 1 over ``steps``."""
    return min(1.0, (step + 1) / max(1, steps))


def cosine_decay(progress: float) -> float:
    """Return the factor of a cosine schedule: 1 at ``progress`` 0, and 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))
