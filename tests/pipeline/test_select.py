"""Some of the people only: by id or name, by place, or by how long they are there."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.pipeline.test_edit import FRAMES, edited, frames_of, journal, tpose
from tests.support.fakes import grey
from tposecli.cli.main import cli
from tposecli.pipeline.keep_options import Region, SelectOptions
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.pipeline.select import inside
from tposecli.tracking.options import TrackOptions
from tposecli.types import Boxes, Poses, Result

__all__ = ["journal"]


def results_of(spans: list[tuple[int, int]], frames: int = 90, fps: float = 30) -> list[Result]:
    """Return frames with a person for each span of frames, far from one another."""
    made = []
    for index in range(frames):
        left = [200.0 * n for n, (begin, end) in enumerate(spans) if begin <= index < end]
        boxes = Boxes([[x, 10, x + 80, 210] for x in left] or np.zeros((0, 4)), [0.9] * len(left))
        xy = np.array([[[x + 5 * (k % 9), 10 + 12 * k] for k in range(17)] for x in left]).reshape(-1, 17, 2)
        poses = Poses(boxes, xy, np.full((len(left), 17), 0.9))
        made.append(Result(replace(grey(index), time_s=index / fps), poses))
    return made


def shown(results: list[Result]) -> list[set[int]]:
    return [set(result.final.track_id.tolist()) for result in results]


@pytest.mark.parametrize("fill", [True, False], ids=["smoothed", "as measured"])
def test_frames_wait_until_it_is_known_how_long_people_stay(fill: bool) -> None:
    # Person 1 stays, 2 is there for 0.5 s, 3 for 0.4 s, away for 0.3 s and back: 1.2 s in all, 4 comes at the end.
    inputs = results_of([(0, 90), (5, 21), (30, 42), (85, 90)])
    inputs = [
        replace(result, poses=back.poses if 51 <= n < 67 else result.poses)
        for n, (result, back) in enumerate(zip(inputs, results_of([(0, 90), (0, 0), (30, 67)]), strict=True))
    ]
    options = PostOptions(TrackOptions(lost_s=1.0), select=SelectOptions(min_seconds=1.0))
    whole = list(PostProcessor.build(replace(options, select=SelectOptions())).process(inputs))
    found = list(PostProcessor.build(options).process(inputs))
    assert [result.frame.index for result in found] == list(range(90))
    assert set().union(*shown(whole)) == {1, 2, 3, 4}
    assert shown(found) == [ids & {1, 3} for ids in shown(whole)]
    for before, after in zip(whole, found, strict=True):
        kept = np.isin(before.final.track_id, [1, 3])
        assert np.array_equal(before.final.xy[kept], after.final.xy), "the others are exactly as without it"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (SelectOptions(region=Region.parse("9000,9000 9900,9900")), "--region '9000,9000 9900,9900': everybody"),
        (SelectOptions(min_seconds=5), "--min-seconds 5: everybody"),
        (SelectOptions(region=Region.parse("-9000,-9000 9000,9000")), ""),
    ],
)
def test_an_option_that_leaves_everybody_out_is_named(
    options: SelectOptions, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    list(PostProcessor.build(PostOptions(TrackOptions(), select=options)).process(results_of([(0, 9)], 20)))
    assert (name in caplog.text) if name else not caplog.text


def test_no_frame_waits_when_everybody_has_been_there_for_long() -> None:
    taken: list[int] = []

    def frames() -> object:
        for result in results_of([(0, 90)]):
            taken.append(result.frame.index)
            yield result

    selector = PostProcessor.build(PostOptions(select=SelectOptions(min_seconds=0.5))).selector
    post = PostProcessor.build(PostOptions())
    tracked = (replace(result, poses=post.tracker.update(result.poses, result.frame.time_s)) for result in frames())  # type: ignore[union-attr,attr-defined]
    waited = [len(taken) - 1 - result.frame.index for result in selector.process(tracked)]
    assert max(waited) == 15 and set(waited[20:]) == {0}


def test_only_by_id_and_by_name(journal: Path) -> None:
    edited(journal, "--merge", "3=1", "--name", "1=Ana")
    plain = frames_of(journal)
    assert frames_of(journal, "--only", "ana") == {1: plain[1]}
    assert frames_of(journal, "--only", "2,Ana") == plain
    for who, reason in (("Bob", "there is no person Bob; choose of: 1 (Ana), 2"), ("9", "there is no person 9")):
        ran = tpose("convert", journal, "--csv", journal.parent / "none.csv", "--only", who)
        assert ran.exit_code != 0 and reason in str(ran.exception)
        assert not (journal.parent / "none.csv").exists()


def test_people_who_are_corrected_count_as_corrected(journal: Path) -> None:
    words = ("--track-lost", "0.1", "--min-seconds", "2")
    assert list(frames_of(journal, *words)) == [2], "the walker has two ids, of less than 2 s each"
    edited(journal, "--merge", "3=1")
    assert list(frames_of(journal, "--min-seconds", "2")) == [1, 2]


def test_region_by_feet_or_centre_in_pixels_or_percent(journal: Path) -> None:
    whole = frames_of(journal, "--track-lost", "0.1")
    left = frames_of(journal, "--track-lost", "0.1", "--region", "0,0 60%,100%")
    assert 2 not in left and left[3] == [f for f in whole[3] if 10 + 4 * f + 40 <= 384]
    assert frames_of(journal, "--region", "0%,0% 100%,50%") == {}, "nobody has the feet in the upper half"
    upper = frames_of(journal, "--region", "0,0 100%,190", "--region-point", "centre")
    assert len(upper[2]) == FRAMES
    triangle = frames_of(journal, "--region", "400,360 640,360 640,100")
    assert list(triangle) == [2]


def test_a_polygon_holds_what_lies_in_it() -> None:
    poses = Poses(
        Boxes([[0, 0, 20, 20], [80, 0, 100, 20], [40, 60, 60, 80]], [1, 1, 1]), np.zeros((3, 17, 2)), np.ones((3, 17))
    )
    notch = Region.parse("0,0 100,0 100,100 50,50 0,100")
    assert inside(notch, "feet", poses, (100, 100)).tolist() == [True, True, False]
    assert inside(Region.parse("0%,0% 50%,100%"), "centre", poses, (100, 100)).tolist() == [True, False, True]


@pytest.mark.parametrize("text", ["", "1,2", "1,2 1,2", "1;2 3;4", "1,2 3", "a,b c,d", "1,2 3,4 nan,1"])
def test_what_is_no_region_is_refused(journal: Path, text: str) -> None:
    ran = tpose("convert", journal, "--csv", journal.parent / "none.csv", "--region", text)
    assert ran.exit_code == 2 and "expected two opposite corners" in ran.output


def test_video_refuses_what_only_a_finished_run_can_say(tmp_path: Path, media: Path) -> None:
    clip, out = media / "walk.mp4", tmp_path / "out.csv"
    for words, reason in (
        (("--only", "Ana"), "people get names when tpose edit has named them"),
        (("--min-seconds", "7"), "with --track-lost 2, frames would wait in memory for more than 8 s"),
        (("--min-seconds", "1", "--track-lost", "60"), "use it with tpose render or tpose convert"),
    ):
        ran = CliRunner().invoke(cli, ["video", str(clip), "--csv", str(out), *words])
        assert ran.exit_code != 0 and reason in str(ran.exception)
    assert list(tmp_path.iterdir()) == []


def test_images_have_no_ids_to_choose(tmp_path: Path, media: Path) -> None:
    still = str(media / "stills" / "still_01.jpg")
    out = tmp_path / "a.json"
    words = ["--region", "0,0 1,1", "--detector", "bundled", "-q"]
    assert CliRunner().invoke(cli, ["images", still, "--json", str(out), *words]).exit_code == 0
    ran = CliRunner().invoke(cli, ["convert", f"{out}.poses.jsonl", "--csv", str(tmp_path / "a.csv"), "--only", "1"])
    assert "images have no ids that last" in str(ran.exception)
    rows = defaultdict(int)
    for where in ("0,0 1,1", "0%,0% 100%,100%"):
        table = tmp_path / "b.csv"
        ran = CliRunner().invoke(
            cli, ["convert", f"{out}.poses.jsonl", "--csv", str(table), "--region", where, "--overwrite", "-q"]
        )
        assert ran.exit_code == 0, ran.output
        rows[where] = sum(bool(row["joint"]) for row in csv.DictReader(table.read_text().splitlines()))
    assert rows["0,0 1,1"] == 0 < rows["0%,0% 100%,100%"]


def test_a_run_with_min_seconds_equals_its_journal_converted(tmp_path: Path, media: Path) -> None:
    run, again = tmp_path / "run.csv", tmp_path / "again.csv"
    words = ["--min-seconds", "1.5", "-q"]
    given = ["video", str(media / "crossing.mp4"), "--end", "2.5", "--csv", str(run), *words]
    assert CliRunner().invoke(cli, given).exit_code == 0
    path = tmp_path / "run.csv.poses.jsonl"
    assert CliRunner().invoke(cli, ["convert", str(path), "--csv", str(again), *words]).exit_code == 0
    assert run.read_text() == again.read_text()
    everybody = tmp_path / "everybody.csv"
    assert CliRunner().invoke(cli, ["convert", str(path), "--csv", str(everybody), "-q"]).exit_code == 0
    assert len(everybody.read_text()) > len(run.read_text()), "the journal holds everybody"
