"""Which attention is shown, and how. No NumPy here: the command line takes its defaults and ranges from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tposecli.utils.errors import UsageError
from tposecli.utils.option_fields import NumberRange, check_ranges, choice, number

if TYPE_CHECKING:
    from tposecli.models.attention_readout import Attention, Combination, Mode

Style = Literal["heat", "lines"]
PerPerson = Literal["confident", "strongest"]
View = Literal["overlay", "layers", "keypoints"]


@dataclass(frozen=True, slots=True)
class AttentionStyle:
    """Which attention is shown, and how.

    Attributes:
        keypoints: Indices; ``confident`` for all that each person has a good score for; or ``strongest`` for each
            person's highest-scoring keypoint.
        layers: As in :class:`Attention`, or ``all``; only ``view="layers"`` shows more than one.
        mode: As in :class:`Attention`.
        threshold: Absolute attention score below which nothing is shown.
        percentile: Use this percentile of each map as its threshold instead.
        style: ``heat``: a heat map; ``lines``: lines from the keypoint to the joints it attends to most.
        alpha: Opacity where the attention is highest, 0..1.
        view: ``overlay``: one image; ``layers`` or ``keypoints``: a grid with a panel for each of them.
    """

    keypoints: tuple[int, ...] | PerPerson = "confident"
    layers: tuple[int, ...] | Combination | Literal["all"] = (-1,)
    mode: Mode = "dependency"
    threshold: float = number(0.0, NumberRange(0, 1))
    percentile: float | None = number(None, NumberRange(0, 100))
    style: Style = choice("heat", Style)
    alpha: float = number(0.8, NumberRange(0, 1))
    view: View = choice("overlay", View)

    def __post_init__(self) -> None:
        check_ranges(self)

    def resolved(self, count: int) -> AttentionStyle:
        """Return the style for a net of ``count`` layers, with ``all`` expanded.

        Raises:
            UsageError: The net does not have one of the layers.
        """
        if self.layers == "all":
            return replace(self, layers=tuple(range(count)))
        if not isinstance(self.layers, str) and any(not -count <= layer < count for layer in self.layers):
            raise UsageError(
                f"attention layer {max(self.layers)}: expected 0 to {count - 1}, as this model has {count} layers"
            )
        return self

    @property
    def request(self) -> Attention:
        """The attention to read from the net: of every keypoint, since the strongest is not known in advance."""
        assert self.layers != "all", "resolve the style first"
        from tposecli.models.attention_readout import Attention

        return Attention(self.layers, mode=self.mode)

    @property
    def bound(self) -> str:
        """A description of the threshold for titles; empty if everything is shown."""
        if self.percentile is not None:
            return f"scores from p{self.percentile:g}"
        return f"scores from {self.threshold:g}" if self.threshold else ""

    @property
    def layer_names(self) -> list[str]:
        """A title for each layer that is read."""
        if isinstance(self.layers, str):
            return [f"{self.layers} of layers"]
        return ["last layer" if layer == -1 else f"layer {layer}" for layer in self.layers]
