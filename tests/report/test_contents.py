"""What is in a page: columns that read back, moments that are found, words that fit, and a size that is kept."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.runs import journal_of, long_columns, made_up_journal, numbered_copy, standing, walking
from tposecli.formats.align import PoseInput
from tposecli.geometry.keypoints import COCO, KEYPOINTS
from tposecli.report.columns import Collector, Columns
from tposecli.report.facts import counts, joint_table, verdict, warnings_of
from tposecli.report.film import PHOTO_SIDES, linked, original, photo_side, small_wh
from tposecli.report.make import Content, ReportJob, make_report, page_of
from tposecli.report.moments import COUNT, worst_moments
from tposecli.report.options import ReportOptions, parse_size
from tposecli.report.page_file import as_script_json, visible
from tposecli.report.read_run import recorded_options
from tposecli.sources.video import VideoSource
from tposecli.types import Flag, Frame, Result
from tposecli.utils.errors import InputError, UsageError

KNEE, WRIST = KEYPOINTS.index("left_knee"), KEYPOINTS.index("left_wrist")


def unpacked_xy(columns: Columns) -> np.ndarray:
    """Return the first coordinate column as data.js reads it."""
    data, rows, frames = zlib.decompress(columns.packed()), len(columns), len(columns.index)
    start = 8 * frames + 4 * rows + 8 * rows + 2 * rows
    low, high = (np.frombuffer(data, np.uint8, rows, start + part * rows).astype(int) for part in (0, 1))
    zigzag = low | high << 8
    off = (zigzag >> 1) ^ -(zigzag & 1)
    steps = np.zeros(rows, np.uint16)
    for row in range(rows):
        before = 2 * int(steps[row - 1]) - int(steps[row - 2]) if row > 1 else int(steps[0]) * row
        steps[row] = (off[row] + before) % 65_536
    return steps * columns.unit() - 0.25 * max(columns.size)


def with_flags(columns: Columns, rows: slice, joints: list[int], flag: Flag) -> Columns:
    flags = columns.flags.copy()
    flags[rows, joints] = flag
    return replace(columns, flags=flags)


class TestColumns:
    def test_coordinates_read_back_to_a_tenth_of_a_pixel(self) -> None:
        columns = long_columns(300)
        assert np.abs(unpacked_xy(columns) - columns.xy[:, 0, 0]).max() <= 0.051

    def test_a_person_and_frame_takes_at_most_115_bytes(self) -> None:
        columns = long_columns(18_000)
        assert len(columns.packed()) * 4 / 3 / len(columns) <= 115

    @pytest.mark.parametrize(("side", "unit"), [(640, 0.1), (3840, 0.1), (8192, 0.2)])
    def test_the_unit_fits_the_frame(self, side: int, unit: float) -> None:
        columns = replace(long_columns(2), size_wh=np.array([[side, 100]] * 2))
        assert columns.unit() == pytest.approx(unit)
        assert (1.5 * side) / columns.unit() <= 65_535


class TestMoments:
    def test_an_exchange_is_named_with_its_frames(self) -> None:
        legs = [KEYPOINTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
        columns = with_flags(long_columns(300), slice(100, 103), legs, Flag.REPAIRED)
        [found] = [each for each in worst_moments(columns, COCO) if each.kind == "exchange"]
        assert found.row == 101
        assert found.text == "left and right legs exchanged for 3 frames; repaired"

    def test_the_worst_jump_comes_first(self) -> None:
        columns = long_columns(300)
        raw = columns.raw.copy()
        raw[200, WRIST] += 20
        raw[60, KNEE] += 9
        moments = [each for each in worst_moments(replace(columns, raw=raw), COCO) if each.kind == "jump"]
        assert [(each.row, each.joint) for each in moments[:2]] in (
            [(200, WRIST), (60, KNEE)],
            [(201, WRIST), (60, KNEE)],
        )
        assert len(moments) <= COUNT

    def test_a_track_that_begins_where_another_ended(self) -> None:
        columns = long_columns(300)
        track = np.where(columns.frame < 150, 1, 2)
        columns = replace(columns, track=track)
        [found] = [each for each in worst_moments(columns, COCO) if each.kind == "switch"]
        assert found.row == 150 and "id 2 begins where id 1 ended" in found.text
        assert counts(columns)["switches"] == 1

    def test_people_without_ids_do_not_jump(self) -> None:
        columns = replace(long_columns(300), track=np.full(300, -1))
        assert not [each for each in worst_moments(columns, COCO) if each.kind in ("jump", "switch")]


class TestLongRuns:
    def test_the_worst_part_of_a_long_run_is_kept_and_all_of_it_is_summed_up(self) -> None:
        collector = Collector(17, most=1000)
        for number in range(12_000):  # 40 minutes at 5 frames a second, of which minutes 20 to 22 are bad.
            time_s = number / 5
            poses = standing([10], score=0.1 if 1200 <= time_s < 1320 else 0.8)
            collector.add(Result(Frame(np.zeros((64, 128, 3), np.uint8), number, time_s), poses))
        columns, overview = collector.columns(stills=False), collector.overview()
        assert len(columns.index) <= 1000 and len(overview) == 40
        assert columns.time_s[0] <= 1200 and columns.time_s[-1] >= 1319
        assert columns.frame.tolist() == list(range(len(columns.index)))
        assert [row[0] for row in overview if row[4] == 1] == [1200, 1260]
        assert sum(len(block.frames) for block in collector.blocks) < 2500
        page = page_of(Content(columns, COCO, {}, "a", False, overview=overview))
        assert b"The recording is 0.7 hours long" in page

    def test_a_short_run_is_whole(self) -> None:
        collector = Collector(17)
        for number in range(500):
            frame = Frame(np.zeros((64, 128, 3), np.uint8), number, number / 5)
            collector.add(Result(frame, standing([10])))
        assert len(collector.columns(stills=False).index) == 500 and collector.overview() == []


class TestWords:
    def test_low_scores_are_warned_of(self) -> None:
        columns = long_columns(100)
        score = columns.score.copy()
        score[:60, WRIST] = 0.05
        columns = replace(columns, score=score)
        numbers, joints = counts(columns), joint_table(columns, COCO, {})
        assert numbers["low"] == pytest.approx(60 / 1700)
        assert "Rarely sure: left wrist." in warnings_of(numbers, joints, COCO, False)
        assert "weakest joint is the left wrist" in verdict(numbers, joints, COCO)

    def test_names_cannot_leave_their_place(self) -> None:
        text = as_script_json({"name": "</script><!--\0\u202e&"})
        assert "<" not in text and ">" not in text and "&" not in text
        assert visible("a\u202eb\0") == "a\\u202eb\\x00"

    @pytest.mark.parametrize(("text", "size"), [("20MB", 20_000_000), ("0", 0), ("1.5 kb", 1500), ("2GB", 2 * 10**9)])
    def test_sizes(self, text: str, size: int) -> None:
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "MB", "-1", "1TB", "nan"])
    def test_what_is_no_size(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not a size"):
            parse_size(text)


class TestRuns:
    def test_options_of_the_run_are_taken_from_its_header(self) -> None:
        options = {"track": None, "keep": {"min_joints": 3}, "smooth": "savgol"}
        options["smoothing"] = {"fill_gaps_s": 0.1, "repair": False, "window_s": 0.2, "order": 3}
        found = recorded_options({"options": options})
        assert found.track is None and found.keep.min_joints == 3
        assert found.smooth.resolved(False).to_dict(False) == {"smooth": "savgol", "smoothing": options["smoothing"]}
        assert recorded_options({}).track is not None

    def test_a_video_of_another_run_is_refused(self, media: Path, tmp_path: Path) -> None:
        video = numbered_copy(media / "walk.mp4", tmp_path / "a.mp4")
        other = numbered_copy(media / "walk.mp4", tmp_path / "b.mp4", crf=20)
        journal = journal_of(video, tmp_path / "a.poses.jsonl")
        with pytest.raises(InputError, match="is not the file"):
            make_report(ReportJob(PoseInput(journal, inputs=(str(other),)), tmp_path / "a.html"))
        assert not (tmp_path / "a.html").exists()

    def test_a_page_is_not_replaced_unasked(self, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 3, walking)
        (tmp_path / "a.html").write_text("mine")
        with pytest.raises(UsageError, match="already exists"):
            make_report(ReportJob(PoseInput(journal), tmp_path / "a.html"))
        assert (tmp_path / "a.html").read_text() == "mine"

    def test_a_large_video_is_linked(self, media: Path, tmp_path: Path) -> None:
        (tmp_path / "videos").mkdir()
        video = numbered_copy(media / "portrait.mp4", tmp_path / "videos" / "a b.mp4")
        journal = journal_of(video, tmp_path / "a.poses.jsonl")
        options = ReportOptions(embed_bytes=0, explain=False)
        made = make_report(ReportJob(PoseInput(journal, inputs=(str(video),)), tmp_path / "a.html", options))
        text = (tmp_path / "a.html").read_text()
        assert '"href":"videos/a%20b.mp4"' in text and made.size < 250_000
        assert linked(video, VideoSource(video), long_columns(3), tmp_path / "videos" / "x.html").href == "a%20b.mp4"

    def test_a_video_that_browsers_do_not_play_is_not_taken_as_it_is(self, media: Path, tmp_path: Path) -> None:
        video = numbered_copy(media / "walk.mp4", tmp_path / "a.mkv")
        source = VideoSource(video)
        assert original(video, source, long_columns(135), 10**9) is None

    def test_a_page_of_nobody_is_a_page(self) -> None:
        columns = long_columns(5)
        nobody = replace(columns, **{name: getattr(columns, name)[:0] for name in ROWS})
        assert b"Nobody was found" in page_of(Content(nobody, COCO, {}, "a", False))


ROWS = ("frame", "track", "measured", "box", "box_score", "xy", "raw", "score", "flags")


def test_photos_get_smaller_the_more_there_are() -> None:
    assert [photo_side(count, 20_000_000) for count in (40, 400, 1000, 3000, 9000)] == [640, 400, 240, 120, 0]
    assert PHOTO_SIDES[0][0] == 640
    assert small_wh(1920, 1080, 640, even=True) == (640, 360)
    assert small_wh(101, 99, 640, even=True) == (100, 100)
