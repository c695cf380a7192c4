"""A short clip that can be cut, and jobs over it that cost little."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av

from tests import REPOSITORY
from tposecli.detection.factory import DetectorOptions
from tposecli.formats.journal.journal import read_journal
from tposecli.inference.options import ModelChoice
from tposecli.pipeline.job import InferenceSettings, Settings

MEDIA = REPOSITORY / "sample_media"
FRAMES, GROUP, PICTURES = 64, 8, 10
"""Frames of the clip, in a group that goes through the net together, and in a group of pictures."""
MODEL = ModelChoice("transpose-s-a4", precision="fp32", backend="torch", threads=1)
SETTINGS = Settings(InferenceSettings(MODEL, DetectorOptions(f"boxes:{MEDIA}/walk.json")))
OPTIONS = ["--model", "transpose-s-a4", "--precision", "fp32", "--backend", "torch", "--threads", "1"]
BOXES = ["--detector", f"boxes:{MEDIA}/walk.json"]


def clip(path: Path, name: str = "walk") -> Path:
    """Write the beginning of a clip, the walking one, with a key frame every ``PICTURES`` frames, and open groups."""
    with av.open(str(MEDIA / f"{name}.mp4")) as source, av.open(str(path), "w") as target:
        given = source.streams.video[0]
        coding = {"preset": "ultrafast", "g": str(PICTURES), "bf": "2", "sc_threshold": "0", "crf": "20"}
        stream = target.add_stream("libx264", rate=given.average_rate, options={**coding, "x264-params": "open-gop=1"})
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        stream.codec_context.time_base = given.time_base
        for number, frame in enumerate(source.decode(given)):
            if number == FRAMES:
                break
            frame.pict_type = 0
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def with_flags(settings: Settings, **flags: Any) -> Settings:
    return replace(settings, flags=replace(settings.flags, **flags))


def content(path: Path) -> tuple[Any, ...]:
    """Return all that an output says, but for the command that made it."""
    if path.suffix == ".jsonl":
        journal = read_journal(path)
        own = {key: value for key, value in journal.header.items() if key not in ("command", "outputs")}
        end = {key: value for key, value in journal.end().items() if key != "files"}
        return own, end, path.read_bytes().splitlines()[1:-1]
    if path.suffix == ".json":
        found = json.loads(path.read_text())
        return ({**found, "info": {key: value for key, value in found["info"].items() if key != "command"}},)
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return tuple((frame.pts, frame.to_ndarray().tobytes()) for frame in container.decode(video=0))
    return (path.read_bytes(),)


def assert_plays_alike(path: Path, whole: Path) -> None:
    """A video that was encoded in parts shows the same at the same times, as far as its encoder keeps it."""
    with av.open(str(path)) as one, av.open(str(whole)) as other:
        for frame, expected in zip(one.decode(video=0), other.decode(video=0), strict=True):
            assert frame.pts == expected.pts
            images = [each.to_ndarray(format="rgb24").astype(int) for each in (frame, expected)]
            assert abs(images[0] - images[1]).mean() < 5


def assert_same(folder: Path, undisturbed: Path, in_parts: bool = False) -> None:
    """Every output is there, nothing else, and all say the same; a video may have been encoded in parts."""
    names = sorted(path.name for path in undisturbed.iterdir())
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        if in_parts and name.endswith(".mp4"):
            assert_plays_alike(folder / name, undisturbed / name)
            continue
        assert content(folder / name) == content(undisturbed / name), name
