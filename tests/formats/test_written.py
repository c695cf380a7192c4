"""Files of poses in other people's formats, read back; and the same again from a journal."""

from __future__ import annotations

import csv
import json
import sys
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.formats.base import WriteOptions
from tposecli.formats.catalog import option_formats
from tposecli.formats.journal.journal import JournalWriter
from tposecli.formats.mmpose import MmposeSink
from tposecli.formats.npz import NpzSink
from tposecli.formats.openpose import OpenposeSink
from tposecli.formats.tables import CsvSink, ParquetSink
from tposecli.formats.with_frames import blank
from tposecli.geometry.keypoints import KEYPOINTS, LIMBS
from tposecli.pipeline.job import FileSettings, Outputs, RunFlags
from tposecli.pipeline.outputs import check_outputs, open_pose_files
from tposecli.pipeline.postprocess import PostOptions, PostProcessor
from tposecli.sinks.base import Sink
from tposecli.smoothing.options import SmoothOptions
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import InputError, OutputError, TposeError, UsageError

ROOT = REPOSITORY
PICTURE = np.zeros((480, 640, 3), np.uint8)
COLUMNS = ["frame", "time_s", "track", "joint", "x", "y", "score", "raw_x", "raw_y", "flag", "person"]
HEADER = {
    "tool": "tposecli",
    "tool_version": "0.0.9",
    "source": "walk.mp4",
    "size_wh": [640, 480],
    "fps": "25",
    "time_base": "1/12800",
    "keypoint_names": list(KEYPOINTS),
    "skeleton": [list(limb) for limb in LIMBS],
    "model": "transpose-r-a4",
    "command": "tpose video walk.mp4 -o out.mp4",
    "options": {"smooth": "one-euro"},
}


def poses(index: int, people: int) -> Poses:
    """People who walk to the right, each a little shaky."""
    rng = np.random.default_rng(index)
    left = 40.0 + 120 * np.arange(people)[:, None] + 2 * index
    corners = np.concatenate([left, np.full((people, 1), 50.0), left + 90, np.full((people, 1), 350.0)], axis=1)
    grid = np.stack([np.tile([0.3, 0.7], 9)[:17], np.linspace(0.05, 0.95, 17)], axis=1)
    xy = corners[:, None, :2] + grid * (90, 300) + rng.normal(0, 1.5, (people, 17, 2))
    return Poses(Boxes(corners, np.full(people, 0.9)), xy, rng.uniform(0.05, 0.95, (people, 17)))


def measured(count: int = 12, stills: bool = False) -> list[Result]:
    """Frames with 0 to 3 people; the second is empty."""
    frames = [
        Frame(PICTURE, index, 0.0, f"{index + 7:03d}.jpg")
        if stills
        else Frame(PICTURE, index, index / 25, "walk.mp4", 512 * index)
        for index in range(count)
    ]
    return [Result(frame, poses(frame.index, 0 if frame.index == 1 else 1 + frame.index % 3)) for frame in frames]


def finished(count: int = 12) -> list[Result]:
    """The same, tracked and smoothed."""
    return list(PostProcessor.build(PostOptions(), live=True).process(measured(count)))


def write(sink: Sink, results: list[Result]) -> None:
    for result in results:
        sink.write(result)
    sink.close(complete=True)
    sink.close(complete=False)


def journal(path: Path, results: list[Result], **header: Any) -> Path:
    writer = JournalWriter(path, {**HEADER, **header})
    for result in results:
        writer.write(result.frame, result.poses)
    writer.close()
    return path


def strict(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def tpose(*arguments: object) -> Ran:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def outputs_in(folder: Path) -> Outputs:
    """One of everything that needs no pixels."""
    names = {
        "coco": "o.json",
        "csv": "o.csv",
        "angles": "o.angles.csv",
        "parquet": "o.parquet",
        "openpose": "openpose",
        "mmpose": "o.mmpose.json",
        "npz": "o.npz",
    }
    return Outputs(poses={key: folder / name for key, name in names.items()})


SINKS: dict[str, Callable[[Path], Sink]] = {
    "o.csv": CsvSink,
    "o.parquet": lambda path: ParquetSink(path, {}),
    "openpose": OpenposeSink,
    "o.json": MmposeSink,
    "o.npz": lambda path: NpzSink(path, {}),
}
"""Each sink of this file, by the name of what it makes."""


class TestTables:
    def test_csv_conforms_to_the_rfc_and_holds_every_joint(self, tmp_path: Path) -> None:
        results = finished()
        write(CsvSink(tmp_path / "o.csv"), results)
        raw = (tmp_path / "o.csv").read_bytes()
        assert raw.endswith(b"\r\n")
        assert raw.count(b"\r\n") == raw.count(b"\n") == 1 + 1 + 17 * sum(len(result.poses) for result in results)
        with (tmp_path / "o.csv").open(newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        assert list(rows[0]) == COLUMNS
        last, shown = results[-1], results[-1].final
        for row in rows[-17 * len(shown) :]:
            person, joint = int(row["person"]), KEYPOINTS.index(row["joint"])
            assert (int(row["frame"]), float(row["time_s"])) == (last.frame.index, last.frame.time_s)
            assert int(row["track"]) == shown.track_id[person]
            assert float(row["x"]) == pytest.approx(float(shown.xy[person, joint, 0]), abs=0.006)
            assert float(row["y"]) == pytest.approx(float(shown.xy[person, joint, 1]), abs=0.006)
            assert float(row["raw_x"]) == pytest.approx(float(last.poses.xy[person, joint, 0]), abs=0.006)
            assert float(row["score"]) == pytest.approx(float(shown.score[person, joint]), abs=1e-5)
            assert row["flag"] == "0"

    def test_an_empty_frame_is_a_row_with_its_time_only(self, tmp_path: Path) -> None:
        write(CsvSink(tmp_path / "o.csv"), finished())
        with (tmp_path / "o.csv").open(newline="") as file:
            empty = [row for row in csv.reader(file) if row[0] == "1"]
        assert empty == [["1", "0.04", *[""] * 9]]

    def test_names_of_stills_may_hold_any_character(self, tmp_path: Path) -> None:
        one = measured(1, stills=True)[0]
        name = 'täst, "1".jpg'
        write(CsvSink(tmp_path / "o.csv", stills=True), [replace(one, frame=replace(one.frame, name=name))])
        with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        assert {row["name"] for row in rows} == {name}
        assert {row["track"] for row in rows} == {""}

    def test_parquet_holds_what_csv_holds(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        results = finished()
        write(CsvSink(tmp_path / "o.csv"), results)
        write(ParquetSink(tmp_path / "o.parquet", {"model": "transpose-r-a4"}), results)
        table = parquet.read_table(tmp_path / "o.parquet")
        assert table.column_names == COLUMNS
        assert json.loads(table.schema.metadata[b"tposecli"]) == {"model": "transpose-r-a4"}
        with (tmp_path / "o.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = table.to_pydict()
        assert table.num_rows == len(rows)
        assert columns["joint"] == [row["joint"] or None for row in rows]
        assert columns["track"] == [int(row["track"]) if row["track"] else None for row in rows]
        np.testing.assert_allclose(
            [value for value in columns["raw_y"] if value is not None],
            [float(row["raw_y"]) for row in rows if row["raw_y"]],
            rtol=1e-6,
        )

    def test_parquet_without_pyarrow_names_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(UsageError, match=r"tposecli\[parquet\]"):
            check_outputs(Outputs(poses={"parquet": tmp_path / "o.parquet"}), None, RunFlags(), journal=False)
        assert list(tmp_path.iterdir()) == []

    def test_numbers_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        one = measured(1)[0]
        one.poses.xy[0, 3, 1] = np.nan
        sink = CsvSink(tmp_path / "o.csv")
        with pytest.raises(ValueError, match="finite"):
            sink.write(one)
        sink.close(complete=False)
        assert list(tmp_path.iterdir()) == []


class TestOpenpose:
    def test_one_file_per_frame_in_the_order_of_coco_18(self, tmp_path: Path) -> None:
        results = finished(3)
        write(OpenposeSink(tmp_path / "op", min_score=0.4), results)
        names = sorted(path.name for path in (tmp_path / "op").iterdir())
        assert names == [f"walk_{index:012d}_keypoints.json" for index in range(3)]
        assert strict(tmp_path / "op" / names[1]) == {"version": 1.3, "people": []}
        content = strict(tmp_path / "op" / names[2])
        assert content["version"] == 1.3
        shown = results[2].final
        for person, entry in enumerate(content["people"]):
            assert entry["person_id"] == [shown.track_id[person]]
            numbers = np.reshape(entry["pose_keypoints_2d"], (18, 3))
            order = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
            for place, joint in enumerate(order):
                xy = shown.xy[person, [5, 6]].mean(axis=0) if joint is None else shown.xy[person, joint]
                score = shown.score[person, [5, 6]].min() if joint is None else shown.score[person, joint]
                expected = [*xy, score] if score >= 0.4 else [0, 0, 0]
                np.testing.assert_allclose(numbers[place], expected, atol=0.006)

    def test_coco_17_keeps_the_order(self, tmp_path: Path) -> None:
        result = finished(1)[0]
        write(OpenposeSink(tmp_path / "op", min_score=0.0, variant="coco17"), [result])
        entry = strict(next((tmp_path / "op").iterdir()))["people"][0]
        numbers = np.reshape(entry["pose_keypoints_2d"], (17, 3))
        np.testing.assert_allclose(numbers[:, :2], result.final.xy[0], atol=0.006)

    def test_untracked_people_are_minus_one_as_in_openpose(self, tmp_path: Path) -> None:
        write(OpenposeSink(tmp_path / "op"), measured(1, stills=True))
        path = next((tmp_path / "op").iterdir())
        assert path.name == "007_000000000000_keypoints.json"
        assert strict(path)["people"][0]["person_id"] == [-1]

    def test_frames_of_an_earlier_longer_run_are_removed(self, tmp_path: Path) -> None:
        folder = tmp_path / "op"
        write(OpenposeSink(folder), finished(5))
        (folder / "notes.txt").write_text("mine")
        write(OpenposeSink(folder), finished(2))
        assert len(list(folder.glob("*_keypoints.json"))) == 2
        assert (folder / "notes.txt").exists()


def test_mmpose_has_an_entry_for_every_frame(tmp_path: Path) -> None:
    results = finished()
    write(MmposeSink(tmp_path / "o.json"), results)
    content = strict(tmp_path / "o.json")
    assert [entry["frame_id"] for entry in content] == list(range(12))
    assert content[1]["instances"] == []
    person, shown = content[2]["instances"][1], results[2].final
    np.testing.assert_allclose(person["keypoints"], shown.xy[1], atol=0.006)
    np.testing.assert_allclose(person["keypoint_scores"], shown.score[1], atol=1e-5)
    np.testing.assert_allclose(person["bbox"], shown.boxes.xyxy[1:2], atol=0.006)
    assert person["bbox_score"] == pytest.approx(0.9)
    assert person["track_id"] == shown.track_id[1]


def test_npz_holds_the_exact_numbers(tmp_path: Path) -> None:
    results = finished()
    write(NpzSink(tmp_path / "o.npz", {"model": "m"}), results)
    with np.load(tmp_path / "o.npz") as arrays:
        assert arrays["keypoints"].tolist() == list(KEYPOINTS)
        assert json.loads(str(arrays["info"])) == {"model": "m"}
        assert arrays["frames"].tolist() == list(range(12))
        assert arrays["frames_wh"].tolist() == [[640, 480]] * 12
        assert arrays["frame"].tolist() == [r.frame.index for r in results for _ in range(len(r.poses))]
        for name, column in {
            "track": [r.final.track_id for r in results],
            "box": [r.final.boxes.xyxy for r in results],
            "box_score": [r.final.boxes.score for r in results],
            "xy": [r.final.xy for r in results],
            "raw_xy": [r.poses.xy for r in results],
            "score": [r.final.score for r in results],
            "flags": [r.final.flags for r in results],
        }.items():
            expected = np.concatenate(column)
            assert arrays[name].dtype == expected.dtype
            np.testing.assert_array_equal(arrays[name], expected)
        assert "names" not in arrays


def test_npz_without_people_and_of_stills(tmp_path: Path) -> None:
    empty = [replace(result, poses=Poses.empty()) for result in measured(2, stills=True)]
    write(NpzSink(tmp_path / "o.npz", {}, stills=True), empty)
    with np.load(tmp_path / "o.npz") as arrays:
        assert arrays["xy"].shape == (0, 17, 2)
        assert arrays["names"].tolist() == ["007.jpg", "008.jpg"]


@pytest.mark.parametrize("name", SINKS)
def test_incomplete_runs_leave_nothing_and_keep_existing_files(tmp_path: Path, name: str) -> None:
    write(SINKS[name](tmp_path / name), finished(3))
    sink = SINKS[name](tmp_path / name)
    sink.write(finished(1)[0])
    sink.close(complete=False)
    sink.close(complete=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name == "openpose":
        assert len(list((tmp_path / name).iterdir())) == 3
    (tmp_path / "new").mkdir()
    SINKS[name](tmp_path / "new" / name).close(complete=False)
    assert list((tmp_path / "new").iterdir()) == []


def test_missing_folders_are_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for make in (CsvSink, MmposeSink, lambda path: ParquetSink(path, {})):
        with pytest.raises(OutputError, match="nowhere"):
            make(nowhere / "o")


@pytest.mark.parametrize("name", ["o.csv", "openpose", "o.json", "o.npz"])
def test_memory_does_not_grow_with_the_video(tmp_path: Path, name: str) -> None:
    sink, one = SINKS[name](tmp_path / name), finished(3)[2]
    for _ in range(20):
        sink.write(one)
    tracemalloc.start()
    for index in range(200):
        sink.write(replace(one, frame=replace(one.frame, index=100 + index)))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sink.close(complete=False)
    assert grown < 100_000


class TestConvert:
    def run_of(self, folder: Path, results: list[Result], options: PostOptions) -> None:
        """What a run with the net writes of these results."""
        folder.mkdir()
        sinks = list(open_pose_files(outputs_in(folder), FileSettings(), WriteOptions(HEADER)))
        for result in PostProcessor.build(options).process(results):
            for sink in sinks:
                sink.write(result)
        for sink in sinks:
            sink.close(complete=True)

    @pytest.mark.parametrize("smooth", ["auto", "one-euro", "savgol", "median", "none"])
    def test_files_are_those_of_the_run(self, tmp_path: Path, smooth: Any) -> None:
        self.run_of(tmp_path / "run", measured(40), PostOptions(smooth=SmoothOptions(smooth)))
        path = journal(tmp_path / "o.mp4.poses.jsonl", measured(40))
        ours, theirs = outputs_in(tmp_path / "again").poses, outputs_in(tmp_path / "run").poses
        named = [f"{row.option}={ours[row.name]}" for row in option_formats()]
        ran = tpose("convert", path, *named, "--smooth", smooth)
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        assert "40 frames" in ran.stderr
        for name in ("csv", "angles", "mmpose"):
            assert ours[name].read_bytes() == theirs[name].read_bytes()
        first, second = (poses["coco"].read_bytes().partition(b"\n")[2] for poses in (ours, theirs))
        assert first == second
        assert len(first) > 1000
        openpose = [{path.name: path.read_bytes() for path in o["openpose"].iterdir()} for o in (ours, theirs)]
        assert openpose[0] == openpose[1]
        with np.load(ours["npz"]) as again, np.load(theirs["npz"]) as run:
            for name in set(run) - {"info"}:
                np.testing.assert_array_equal(again[name], run[name])

    def test_provenance_of_the_file_and_of_the_journal(self, tmp_path: Path) -> None:
        path = journal(tmp_path / "o.mp4.poses.jsonl", measured(2))
        tpose("convert", path, "--json", tmp_path / "o.json", "--smooth", "none")
        info = strict(tmp_path / "o.json")["info"]
        assert info["model"] == "transpose-r-a4"
        assert info["options"]["smooth"] == "none"
        assert info["journal"] == {
            "file": "o.mp4.poses.jsonl",
            "tool_version": "0.0.9",
            "command": "tpose video walk.mp4 -o out.mp4",
        }
        assert info["tool_version"] != "0.0.9"

    def test_results_of_a_journal(self, tmp_path: Path) -> None:
        path = journal(tmp_path / "o.mp4.poses.jsonl", measured(3))
        assert (
            tpose(
                "convert", path, "--json", tmp_path / "o.json", "--json-format", "results", "--fill-gaps", "0"
            ).exit_code
            == 0
        )
        assert [entry["image_id"] for entry in strict(tmp_path / "o.json")] == [1, 3, 3, 3]

    @pytest.mark.parametrize(("ids", "expected"), [("names", [7, 9]), ("order", [1, 3]), (None, [1, 3])])
    def test_stills_keep_their_image_ids(self, tmp_path: Path, ids: str | None, expected: list[int]) -> None:
        results = [result for result in measured(3, stills=True) if result.frame.index != 1]
        header = {"size_wh": None, "fps": None, "time_base": None, "image_ids": ids}
        path = journal(tmp_path / "o.json.poses.jsonl", results, **header)
        assert tpose("convert", path, "--json", tmp_path / "o.json").exit_code == 0
        content = strict(tmp_path / "o.json")
        assert [image["id"] for image in content["images"]] == expected
        assert {person["track_id"] for person in content["annotations"]} == {None}

    def test_csv_to_standard_output_and_nothing_else_there(self, tmp_path: Path) -> None:
        path = journal(tmp_path / "o.poses.jsonl", measured(3))
        assert tpose("convert", path, "--csv", tmp_path / "o.csv").exit_code == 0
        ran = tpose("convert", path, "--csv", "-")
        assert ran.stdout_bytes == (tmp_path / "o.csv").read_bytes()
        assert "standard output" in str(tpose("convert", path, "--mmpose", "-").exception)
        assert not Path("-").exists()

    def test_a_truncated_last_line_is_ignored(self, tmp_path: Path) -> None:
        path = journal(tmp_path / "o.poses.jsonl", measured(4))
        path.write_bytes(path.read_bytes()[:-20])
        assert tpose("convert", path, "--mmpose", tmp_path / "o.json").exit_code == 0
        assert len(strict(tmp_path / "o.json")) == 3

    def test_a_damaged_journal_leaves_nothing(self, tmp_path: Path) -> None:
        path = journal(tmp_path / "o.poses.jsonl", measured(4))
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
        ran = tpose("convert", path, "--csv", tmp_path / "o.csv", "--openpose", tmp_path / "op")
        assert isinstance(ran.exception, InputError)
        assert "line 3" in str(ran.exception)
        assert {each.name for each in tmp_path.iterdir()} == {"o.poses.jsonl"}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "nothing to write"),
            (["--csv", "there.csv"], "--overwrite"),
            (["--openpose", "there"], "--overwrite"),
            (["--openpose", "there.csv"], "is a file"),
            (["--json", "o.poses.jsonl", "--overwrite"], "is an input"),
        ],
    )
    def test_usage_errors_name_the_remedy(self, tmp_path: Path, arguments: list[str], message: str) -> None:
        path = journal(tmp_path / "o.poses.jsonl", measured(1))
        (tmp_path / "there.csv").write_text("mine")
        write(OpenposeSink(tmp_path / "there"), finished(1))
        placed = [argument if argument.startswith("--") else str(tmp_path / argument) for argument in arguments]
        ran = tpose("convert", path, *placed)
        assert isinstance(ran.exception, TposeError) or message in ran.output
        assert message in f"{ran.output}{ran.exception}"
        assert (tmp_path / "there.csv").read_text() == "mine"

    def test_other_keypoints_need_their_layout(self, tmp_path: Path) -> None:
        path = journal(tmp_path / "o.poses.jsonl", [], keypoint_names=["a", "b"])
        assert "skeleton, mirror and sigmas" in str(tpose("convert", path, "--csv", tmp_path / "o.csv").exception)


def test_blank_images_take_no_memory() -> None:
    picture = blank((3840, 2160))
    assert Frame(picture, 0).size_wh == (3840, 2160)
    assert picture.strides[:2] == (0, 0)
    assert not picture.flags.writeable


def test_video_and_images_write_every_format(tmp_path: Path, media: Path) -> None:
    detector = f"boxes:{media / 'walk.json'}"
    names = {"csv": "o.csv", "mmpose": "o.mmpose.json", "npz": "o.npz", "openpose": "op", "json": "o.json"}
    places = [f"--{option}={tmp_path / name}" for option, name in names.items()]
    ran = tpose("video", media / "walk.mp4", *places, "--detector", detector, "--end", "0.2", "-q")
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    assert {path.name for path in tmp_path.iterdir()} == {*names.values(), "o.json.poses.jsonl"}
    again = [f"--{option}={tmp_path / 'again' / name}" for option, name in names.items()]
    assert tpose("convert", tmp_path / "o.json.poses.jsonl", *again, "-q").exit_code == 0
    assert (tmp_path / "again" / "o.csv").read_bytes() == (tmp_path / "o.csv").read_bytes()
    first, second = ((tmp_path / place / "o.json").read_bytes().partition(b"\n")[2] for place in ("", "again"))
    assert first == second
    with (tmp_path / "o.csv").open() as file:
        assert {Fraction(row["time_s"]) for row in csv.DictReader(file)} == {
            Fraction(str(index * 1001 / 30000)) for index in range(6)
        }


def test_several_videos_share_folders(tmp_path: Path, media: Path) -> None:
    from tposecli.cli.options.many_videos import work_of
    from tposecli.sources import find_videos

    options: dict[str, Any] = defaultdict(lambda: None, start=0.0, stride=1, clock="zero", speed=1, rotate="0")
    options |= {"json": tmp_path, "csv": tmp_path, "openpose": tmp_path / "op", "mmpose": tmp_path}
    jobs = work_of(find_videos([str(media / "walk.mp4"), str(media / "portrait.mp4")]), options).jobs
    assert [job.outputs.poses["csv"] for job in jobs] == [tmp_path / "walk.csv", tmp_path / "portrait.csv"]
    assert [job.outputs.poses["openpose"] for job in jobs] == [tmp_path / "op" / "walk", tmp_path / "op" / "portrait"]
    assert jobs[0].outputs.poses["mmpose"] == tmp_path / "walk.mmpose.json"
