"""Videos that are turned, cut, and read at their true rate: pixels, times, journals and what is made of them again."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tests.support.media import Film
from tposecli.cli.main import cli
from tposecli.sources import WHOLE, View, Window, open_video_input
from tposecli.sources.view import PLAIN
from tposecli.utils.errors import UsageError


def tpose(*words: object) -> Ran:
    return CliRunner().invoke(cli, [str(word) for word in words])


def frames(path: Path, view: View = PLAIN, window: Window = WHOLE) -> list[tuple[np.ndarray, float]]:
    with open_video_input(path, window, view=view) as source:
        found = [(frame.image, frame.time_s) for frame in source]
        assert source.info.size_wh == found[0][0].shape[1::-1]
    return found


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_frames_are_turned_clockwise_and_then_cut(tmp_path: Path, turn: int) -> None:
    path = Film().write(tmp_path / "in.mp4")
    plain, turned = frames(path), frames(path, View(rotate=turn))
    for (before, at), (after, again) in zip(plain, turned, strict=True):
        assert np.array_equal(after, np.rot90(before, -turn // 90)) and at == again
    part = frames(path, View(rotate=turn, crop=(3, 5, 20, 30)))
    for (whole, _), (cut, _) in zip(turned, part, strict=True):
        assert np.array_equal(cut, whole[5:35, 3:23])
        assert cut.flags.c_contiguous and cut.flags.writeable


def test_times_are_those_of_the_true_rate(tmp_path: Path) -> None:
    path = Film().write(tmp_path / "in.mp4")
    with open_video_input(path) as source:
        rate = source.info.fps
        assert rate is not None
    plain, true = frames(path), frames(path, View(true_fps=8 * rate))
    assert [at for _, at in true] == pytest.approx([at / 8 for _, at in plain])
    with open_video_input(path, view=View(true_fps=8 * rate)) as source:
        assert source.info.fps == 8 * rate
    late = Window(start_s=plain[4][1])
    assert len(frames(path, View(true_fps=8 * rate), late)) == len(plain) - 4, "--start is as players show it"


def test_a_journal_knows_the_view_for_everything_that_is_made_later(tmp_path: Path, media: Path) -> None:
    clip, out = media / "walk.mp4", tmp_path / "out.mp4"
    words = ("--rotate", 180, "--crop", "120,40,400,420", "--true-fps", 120, "--end", 0.4, "-q")
    ran = tpose("video", clip, "-o", out, "--csv", tmp_path / "out.csv", *words)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    journal = tmp_path / "out.mp4.poses.jsonl"
    head = json.loads(journal.read_text().splitlines()[0])
    assert head["view"] == {"rotate": 180, "crop": [120, 40, 400, 420], "true_fps": "120"}
    assert head["size_wh"] == [400, 420] and head["fps"] == "120"
    again = tmp_path / "again.mp4"
    assert tpose("render", journal, "-i", clip, "-o", again, "--csv", tmp_path / "again.csv", "-q").exit_code == 0
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "out.csv").read_text()
    for path in (out, again):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (400, 420)
            assert float(stream.average_rate) == pytest.approx(120, rel=0.01)  # type: ignore[arg-type]
    done = tpose("video", clip, "-o", out, "--csv", tmp_path / "out.csv", *words, "--resume")
    assert done.exit_code == 0, done.output
    other = tpose("video", clip, "-o", out, "--csv", tmp_path / "out.csv", "--resume", "--end", 0.4, "-q")
    assert other.exit_code != 0 and "view.rotate was 180, now None" in str(other.exception)


def test_speeds_are_those_of_what_was_filmed(tmp_path: Path, media: Path) -> None:
    found = {}
    for rate in (30, 240):
        table = tmp_path / f"{rate}.csv"
        words = ("--true-fps", rate, "--end", 0.5, "--smooth", "none", "-q")
        assert tpose("video", media / "walk.mp4", "--angles", table, *words).exit_code == 0
        rows = [line.split(",") for line in table.read_text().splitlines()]
        column = rows[0].index("right_knee_speed")
        found[rate] = np.array([float(row[column]) for row in rows[1:]])
    assert found[240] == pytest.approx(8 * found[30], abs=0.1)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--crop", "0,0,0,10"), "'0,0,0,10' is not a part of a frame; write X,Y,WIDTH,HEIGHT in pixels"),
        (("--crop", "1,2,3"), "is not a part of a frame"),
        (("--crop", "600,0,100,10"), "reaches outside the frame of 640x480; choose a part of it"),
        (("--rotate", "90", "--crop", "0,0,640,10"), "reaches outside the frame of 480x640 after --rotate"),
        (("--rotate", "45"), "'45' is not one of"),
        (("--true-fps", "fast"), "'fast' is not a frame rate; expected frames per second up to 100000"),
        (("--speed", "0"), "'0' is not a speed; expected 0.01 to 100"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, media: Path, words: tuple[str, ...], reason: str) -> None:
    ran = tpose("video", media / "walk.mp4", "-o", tmp_path / "out.mp4", *words)
    assert ran.exit_code != 0 and reason in ran.output + str(ran.exception)
    assert list(tmp_path.iterdir()) == []


def test_values_are_checked_in_python_too() -> None:
    for bad in ({"rotate": 45}, {"crop": (-1, 0, 5, 5)}, {"true_fps": Fraction(0)}):
        with pytest.raises(UsageError, match="expected"):
            View(**bad)  # type: ignore[arg-type]
