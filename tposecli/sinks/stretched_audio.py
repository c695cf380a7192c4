"""Sound of videos that play slower or faster than their source: stretched, at the same pitch."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
import av.audio.frame
import av.audio.stream
import av.container
import av.filter

from tposecli.sinks.audio import ENCODERS, TranscodedAudio

EXTREMES: Final = (Fraction(1, 16), Fraction(16))
"""Sound that is stretched or squeezed by more is no sound any more, and is left out."""


class StretchedAudio(TranscodedAudio):
    """Decodes the audio of the source, stretches it with FFmpeg's ``atempo``, and encodes it again."""

    def __init__(
        self, output: av.container.OutputContainer, source: av.audio.stream.AudioStream, muxer: str, stretch: Fraction
    ) -> None:
        """Add a stream to the output.

        Args:
            output: The output.
            source: The audio.
            muxer: FFmpeg's name of the container.
            stretch: Seconds of the output for each second of the source.

        Raises:
            ValueError: The container holds no audio, or there would be nothing left to hear.
        """
        if muxer not in ENCODERS:
            raise ValueError("it has no audio")
        if not EXTREMES[0] <= stretch <= EXTREMES[1]:
            raise ValueError(f"sound {float(stretch):g} times as long cannot be heard")
        super().__init__(output, source, ENCODERS[muxer])
        self._stretch = stretch
        self._graph: av.filter.Graph | None = None
        self._written = 0

    def flush(self) -> Iterator[Any]:
        """Yield what is left in the filter and in the encoder."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled()
        yield from super().flush()

    def _encode(self, frame: av.audio.frame.AudioFrame, zero_s: Fraction) -> list[Any]:
        """Stretch one frame, and encode what comes out."""
        if self._graph is None:
            start = self._start(frame, zero_s)
            if start < 0:
                return []
            self._graph = self._open(frame)
            self._written = round(start * self._stretch * frame.sample_rate)
        frame.pts = None
        self._graph.push(frame)
        return list(self._pulled())

    def _open(self, frame: av.audio.frame.AudioFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        latest: Any = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        for tempo in _tempos(1 / self._stretch):
            following = graph.add("atempo", f"{float(tempo):.6f}")
            latest.link_to(following)
            latest = following
        latest.link_to(graph.add("abuffersink"))
        graph.configure()
        return graph

    def _pulled(self) -> Iterator[Any]:
        """Encode the frames that the filter has ready, one after the other."""
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if isinstance(frame, av.audio.frame.AudioFrame):
                frame.time_base, frame.pts = Fraction(1, frame.sample_rate), self._written
                self._written += frame.samples
                yield from self._target.encode(frame)


def _tempos(tempo: Fraction) -> Iterator[Fraction]:
    """Yield factors between 0.5 and 2, with which ``atempo`` is at its best."""
    while tempo > 2:
        yield Fraction(2)
        tempo /= 2
    while tempo < Fraction(1, 2):
        yield Fraction(1, 2)
        tempo *= 2
    yield tempo
