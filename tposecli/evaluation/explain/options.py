"""Which explanations are measured. No NumPy here: the command line takes its defaults and ranges from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tposecli.attention.style import AttentionStyle
from tposecli.utils.option_fields import NumberRange, check_ranges, number


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """Which explanations are measured.

    Attributes:
        people: Number of people, spread evenly over the set, whose deletion and insertion curves are measured: each
            takes some 250 runs of the net a layer. Everything else is measured on all people.
        attention: Its layers and mode say which maps.
    """

    people: int = number(50, NumberRange(1, whole=True))
    attention: AttentionStyle = field(default_factory=AttentionStyle)

    def __post_init__(self) -> None:
        check_ranges(self)
