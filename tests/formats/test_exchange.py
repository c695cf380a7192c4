"""Formats of other programs, written by ``--to`` and read back by the libraries that people use, and by tpose."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran
from numpy.typing import NDArray

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.formats.align import PoseInput, read_aligned
from tposecli.formats.base import PoseFile, WriteOptions
from tposecli.formats.catalog import POSE_FORMATS, find_format
from tposecli.formats.exchange.options import ExchangeOptions
from tposecli.formats.exchange.recording import track_ids
from tposecli.formats.exchange.whole_files import WholeFiles
from tposecli.formats.read import read_poses
from tposecli.formats.with_frames import blank
from tposecli.geometry.keypoints import COCO, KEYPOINTS, KeypointLayout
from tposecli.types import Boxes, Frame, Poses, Result
from tposecli.utils.errors import InputError, TposeError, UsageError

SIZE = (640, 480)
FPS = 29.97
NAMES = {2: "Ana", 5: "Bo"}
INFO: dict[str, Any] = {
    "tool": "tposecli",
    "source": "walk.mp4",
    "model": "transpose-r-a4",
    "track_names": {str(track): name for track, name in NAMES.items()},
    **COCO.to_dict(),
}
WHOLE = [row.name for row in POSE_FORMATS if row.exporter]
OLD_JOURNAL = Path(__file__).with_name("old_journal.poses.jsonl")


def poses_of(index: int, tracks: Iterable[int], keypoints: int = 17) -> Poses:
    """People whose every coordinate differs; the first has no left ear."""
    ids = list(tracks)
    rng = np.random.default_rng(index)
    left = np.array([30 + 100 * track for track in ids], np.float32)[:, None]
    boxes = np.concatenate([left, left * 0 + 40, left + 80, left * 0 + 440], axis=1).reshape(-1, 4)
    xy = boxes[:, None, :2] + rng.uniform(1, 79, (len(ids), keypoints, 2)).astype(np.float32)
    score = rng.uniform(0.3, 0.95, (len(ids), keypoints)).astype(np.float32)
    if ids:
        score[0, 3 % keypoints] = 0
    return Poses(Boxes(boxes, np.full(len(ids), 0.9)), xy, score, np.array(ids, np.int64))


def film(
    count: int = 10, tracks: tuple[int, ...] = (2, 5), time_s: Callable[[int], float] = lambda i: i / FPS
) -> list[Result]:
    """A film in which the last person is missing in every third frame."""
    return [
        Result(
            Frame(blank(SIZE), index, time_s(index), "walk.mp4"),
            poses_of(index, tracks if index % 3 else tracks[: max(1, len(tracks) - 1)]),
        )
        for index in range(count)
    ]


def write(path: Path, name: str, results: list[Result], per_person: bool = False, **options: Any) -> Path:
    row = find_format(name)
    assert row is not None
    own = WriteOptions(options.pop("info", INFO), exchange=ExchangeOptions(per_person), **options)
    sink = WholeFiles([(row, path)], own)
    for result in results:
        sink.write(result)
    sink.close(complete=True)
    return path


def grid(results: list[Result], track: int) -> NDArray[np.float64]:
    """(frames, 17, 3) of one person, NaN where a keypoint is missing."""
    found = np.full((len(results), 17, 3), np.nan)
    for place, result in enumerate(results):
        for person in np.flatnonzero(result.final.track_id == track):
            values = np.concatenate([result.final.xy[person], result.final.score[person][:, None]], axis=1)
            found[place] = np.where(values[:, 2:] > 0, values, np.nan)
    return found


def difference(found: Any, wanted: Any) -> float:
    """The largest difference of two arrays, which must have NaN at the same places."""
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    assert found.shape == wanted.shape
    assert (np.isnan(found) == np.isnan(wanted)).all()
    return float(np.nanmax(np.abs(found - wanted)))


def run(*arguments: object) -> Ran:
    return CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False)


# Wide tables


def test_wide_csv_is_what_pandas_reads(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results = film()
    table = pandas.read_csv(write(tmp_path / "o.csv", "wide-csv", results))
    assert table.columns[:5].tolist() == ["frame", "time_s", "track", "name", "person"]
    for track, name in NAMES.items():
        own = table[table.track == track]
        assert set(own.name) == {name}
        rows = grid(results, track)[own.frame]
        for place, joint in enumerate(KEYPOINTS):
            wanted = rows[:, place, :2]
            assert np.allclose(own[[f"{joint}_x", f"{joint}_y"]], wanted, atol=0.0051, rtol=0, equal_nan=True)
    assert difference(table.drop_duplicates("frame").time_s, [result.frame.time_s for result in results]) == 0


def test_a_frame_without_people_is_a_row(tmp_path: Path) -> None:
    results = [*film(2), Result(Frame(blank(SIZE), 2, 0.5, "walk.mp4"), Poses.empty())]
    with write(tmp_path / "o.csv", "wide-csv", results).open(newline="") as file:
        last = list(csv.reader(file))[-1]
    assert last[:2] == ["2", "0.5"] and not any(last[2:])


def test_images_have_their_names_in_wide_tables(tmp_path: Path) -> None:
    results = [Result(Frame(blank(SIZE), 0, 0.0, "a.jpg"), poses_of(0, [-1, -1]))]
    with write(tmp_path / "o.csv", "wide-csv", results, image_ids=[1]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["person"], row["track"]) for row in rows] == [("a.jpg", "0", ""), ("a.jpg", "1", "")]


def test_openpyxl_reads_the_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    results = film()
    book = openpyxl.load_workbook(write(tmp_path / "o.xlsx", "xlsx", results))
    head, *rows = book["poses"].iter_rows(values_only=True)
    assert len(rows) == sum(len(result.final) for result in results)
    table = {(row[0], row[3]): row for row in rows}
    columns = [head.index(f"{joint}_{what}") for joint in KEYPOINTS for what in ("x", "y")]
    for track, name in NAMES.items():
        wanted = grid(results, track)[:, :, :2].reshape(len(results), -1)
        for index, row in enumerate(wanted):
            if (index, name) in table:
                cells = [table[index, name][column] for column in columns]
                assert difference([np.nan if cell is None else cell for cell in cells], row) <= 0.005
    assert ("model", "transpose-r-a4") in [row[:2] for row in book["about"].iter_rows(values_only=True)]


def test_a_name_is_not_a_formula(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    info = {**INFO, "track_names": {"2": "=1+1"}, "source": "=1+1\x07.mp4"}
    book = openpyxl.load_workbook(write(tmp_path / "o.xlsx", "xlsx", film(tracks=(2,)), info=info))
    named = book["poses"]["D2"]
    source = next(row[1] for row in book["about"].iter_rows() if row[0].value == "source")
    assert [(cell.value, cell.data_type) for cell in (named, source)] == [("=1+1", "s"), ("=1+1?.mp4", "s")]


# DeepLabCut


@pytest.mark.parametrize("kind", ["dlc-csv", "dlc-h5"])
def test_pandas_reads_deeplabcuts_tables(tmp_path: Path, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    results = film()
    if kind == "dlc-h5":
        pytest.importorskip("tables")
        table = pandas.read_hdf(write(tmp_path / "o.h5", kind, results))
    else:
        table = pandas.read_csv(write(tmp_path / "o.csv", kind, results), header=[0, 1, 2, 3], index_col=0)
    assert list(table.columns.names) == ["scorer", "individuals", "bodyparts", "coords"]
    assert table.index.tolist() == list(range(len(results)))
    for track, name in NAMES.items():
        own = table["tpose_transpose-r-a4"][name].to_numpy().reshape(len(results), 17, 3)
        assert difference(own, grid(results, track)) <= (5e-5 if kind == "dlc-csv" else 0)


def test_one_person_without_a_name_has_the_layout_of_one_animal(tmp_path: Path) -> None:
    info = {key: value for key, value in INFO.items() if key != "track_names"}
    path = write(tmp_path / "o.csv", "dlc-csv", film(tracks=(1,)), info=info)
    assert [line.partition(",")[0] for line in path.read_text().splitlines()[:4]] == [
        "scorer",
        "bodyparts",
        "coords",
        "0",
    ]


def test_rows_of_frames_that_were_left_out_stay_empty(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results = [result for result in film() if result.frame.index in (4, 6)]
    table = pandas.read_csv(write(tmp_path / "o.csv", "dlc-csv", results), header=[0, 1, 2, 3], index_col=0)
    assert table.index.tolist() == list(range(7))  # As DeepLabCut numbers them.
    assert table.notna().any(axis=1).to_numpy().nonzero()[0].tolist() == [4, 6]


def test_a_variable_frame_rate_is_said_of_deeplabcuts_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a.csv", "dlc-csv", film())
    assert not caplog.messages
    write(tmp_path / "b.csv", "dlc-csv", film(time_s=lambda index: index**2 / 100))
    assert "frame rate varies" in caplog.text and "--csv" in caplog.text


LABELLED = """scorer,,,me,me,me,me
bodyparts,,,nose,nose,left_knee,left_knee
coords,,,x,y,x,y
labeled-data,clip,img003.png,10.5,20.5,,
labeled-data,clip,img007.png,11.5,21.5,30.25,40.25
"""


def test_labels_made_in_deeplabcut_are_read(tmp_path: Path) -> None:
    path = tmp_path / "CollectedData_me.csv"
    path.write_text(LABELLED)
    found = read_poses(path)
    assert isinstance(found, PoseFile) and found.stills
    assert [frame.name for frame in found.frames] == ["img003.png", "img007.png"]
    second = found.poses[found.frames[1].id]
    assert second.xy[0, 13].tolist() == [30.25, 40.25] and second.score[0, [0, 13]].tolist() == [1, 1]


# SLEAP


def test_sleap_io_reads_slp(tmp_path: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io")
    results = film()
    labels = sleap_io.load_slp(str(write(tmp_path / "o.slp", "slp", results)), open_videos=False)
    assert [track.name for track in labels.tracks] == ["Ana", "Bo"] and labels.videos[0].filename == "walk.mp4"
    assert labels.skeletons[0].node_names == list(KEYPOINTS)
    assert ("left_knee", "right_knee") in {tuple(sorted(pair)) for pair in labels.skeletons[0].symmetry_names}
    found = labels.numpy(return_confidence=True)
    for number, track in enumerate(NAMES):
        wanted = grid(results, track)
        assert difference(found[:, number, :, :2], wanted[:, :, :2]) == 0
        assert difference(np.where(np.isnan(wanted), np.nan, found[:, number])[:, :, 2], wanted[:, :, 2]) == 0


def test_corrections_made_in_sleap_come_before_predictions(tmp_path: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io")
    labels = sleap_io.load_slp(str(write(tmp_path / "o.slp", "slp", film())), open_videos=False)
    predicted = labels[4].instances[1]
    xy = predicted.numpy().copy()
    xy[15] = 123, 234
    mine = sleap_io.Instance.from_numpy(xy, labels.skeletons[0], track=predicted.track, from_predicted=predicted)
    labels[4].instances.append(mine)
    sleap_io.save_slp(labels, str(tmp_path / "mine.slp"), embed=False, verbose=False)
    found = read_poses(tmp_path / "mine.slp")
    assert isinstance(found, PoseFile)
    people = found.poses[labels[4].frame_idx]
    bo = people.track_id.tolist().index(next(track for track, name in found.people.items() if name == "Bo"))
    assert len(people) == 2 and people.xy[bo, 15].tolist() == [123, 234]


# NWB


def test_pynwb_reads_nwb_with_true_times(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("ndx_pose")
    results = film(tracks=(2,), time_s=lambda index: index**2 / 100)
    with pynwb.NWBHDF5IO(str(write(tmp_path / "o.nwb", "nwb", results)), "r") as io:
        file = io.read()
        poses = file.processing["behavior"]["PoseEstimation"]
        series = [poses.pose_estimation_series[joint] for joint in KEYPOINTS]
        assert file.subject.subject_id == "Ana" and list(poses.skeleton.nodes) == list(KEYPOINTS)
        found = [np.column_stack([each.data[:], each.confidence[:]]) for each in series]
        assert difference(np.stack(found, axis=1), grid(results, 2)) == 0
        assert series[0].timestamps[:].tolist() == [result.frame.time_s for result in results]


# OpenSim and C3D


def plane(results: list[Result], track: int) -> NDArray[np.float64]:
    """(frames, 17, 3) positions of one person, y up; unreliable joints are NaN."""
    values = grid(results, track)
    values[values[:, :, 2] < 0.2] = np.nan
    x, y = values[:, :, 0], SIZE[1] - 1 - values[:, :, 1]
    return np.stack([x, y, x * 0], axis=2)


def test_trc_is_what_pose2sim_reads(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results = film(tracks=(2,), time_s=lambda index: index**2 / 100)
    path = write(tmp_path / "o.trc", "trc", results)
    # As Pose2Sim's read_trc: five lines of a header, the names in the fourth.
    header = path.read_text().splitlines()[:5]
    table = pandas.read_csv(path, sep="\t", skiprows=4, encoding="utf-8")
    assert header[3].split("\t")[2::3] == list(KEYPOINTS)
    facts = dict(zip(header[1].split("\t"), header[2].split("\t"), strict=True))
    assert (facts["Units"], facts["NumFrames"], facts["NumMarkers"]) == ("px", "10", "17")
    assert table.iloc[:, 1].tolist() == pytest.approx([result.frame.time_s for result in results])
    found = table.iloc[:, 2:].to_numpy().reshape(len(results), 17, 3)
    assert difference(found, plane(results, 2)) <= 5e-6


def test_mot_has_the_angles_of_the_joints(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results = film(tracks=(2,))
    path = write(tmp_path / "o.mot", "mot", results)
    lines = path.read_text().splitlines()
    head = lines.index("endheader") + 1
    assert "inDegrees=yes" in lines[:head] and f"nRows={len(results)}" in lines[:head]
    table = pandas.read_csv(path, sep="\t", skiprows=head)
    assert table.time.tolist() == pytest.approx([result.frame.time_s for result in results], abs=1e-6)
    for index, result in enumerate(results):
        hip, knee, ankle = result.final.xy[0, [11, 13, 15]].astype(float)
        thigh, shank = knee - hip, ankle - knee
        cosine = thigh @ shank / np.hypot(*thigh) / np.hypot(*shank)
        turned = np.degrees(np.arccos(cosine))
        assert min(abs(abs(table.left_knee[index]) - turned), abs(360 - table.left_knee[index] - turned)) < 1e-3


def test_a_joint_that_is_not_seen_has_no_angle(tmp_path: Path) -> None:
    poses = poses_of(0, [2])
    poses.score[0, 15] = 0.1
    path = write(tmp_path / "o.mot", "mot", [Result(Frame(blank(SIZE), 0, 0.0, "walk.mp4"), poses)])
    names, values = (line.split("\t") for line in path.read_text().splitlines()[-2:])
    row = dict(zip(names, values, strict=True))
    assert row["left_knee"] == "nan" and float(row["right_knee"]) != 0


@pytest.mark.parametrize("name", ["trc", "c3d"])
def test_metres_if_a_scale_is_known(tmp_path: Path, name: str) -> None:
    package = {"trc": "pandas", "c3d": "ezc3d"}[name]
    module = pytest.importorskip(package)
    results = film(tracks=(2,))
    path = write(tmp_path / f"o.{name}", name, results, px_per_m=200.0)
    if name == "trc":
        assert "\tm\t" in path.read_text().splitlines()[2]
        found = module.read_csv(path, sep="\t", skiprows=4).iloc[:, 2:].to_numpy().reshape(len(results), 17, 3)
    else:
        file = module.c3d(str(path))
        assert file["parameters"]["POINT"]["UNITS"]["value"] == ["m"]
        found = file["data"]["points"][:3].transpose(2, 1, 0)
    assert difference(found, plane(results, 2) / 200) <= 6e-6


def test_ezc3d_reads_c3d(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    results = film(tracks=(2,))
    file = ezc3d.c3d(str(write(tmp_path / "o.c3d", "c3d", results)))
    points = file["parameters"]["POINT"]
    assert points["LABELS"]["value"] == list(KEYPOINTS) and points["UNITS"]["value"] == ["px"]
    assert points["RATE"]["value"][0] == pytest.approx(FPS)
    assert file["parameters"]["SUBJECTS"]["NAMES"]["value"] == ["Ana"]
    found = file["data"]["points"][:3].transpose(2, 1, 0)
    assert difference(found, plane(results, 2)) <= 3e-5


def test_a_variable_frame_rate_is_refused_for_c3d(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    with pytest.raises(UsageError, match=r"its frame rate varies.*--to trc"):
        write(tmp_path / "o.c3d", "c3d", film(tracks=(2,), time_s=lambda index: index**2 / 100))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["trc", "mot", "c3d", "nwb"])
def test_several_people_need_several_files(tmp_path: Path, name: str) -> None:
    row = find_format(name)
    assert row is not None
    pytest.importorskip(row.package or "numpy")
    with pytest.raises(UsageError, match=r"2 \(Ana, Bo\); add --per-person"):
        write(tmp_path / f"o.{name}", name, film())
    assert not list(tmp_path.iterdir())
    write(tmp_path / f"o.{name}", name, film(), per_person=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"o_Ana.{name}", f"o_Bo.{name}"]


def test_a_format_that_refuses_keeps_the_others_from_being_written(tmp_path: Path) -> None:
    ran = run("convert", two_people(tmp_path), "--csv", tmp_path / "o.csv", "--to", "dlc-csv", tmp_path / "o.dlc.csv",
              "--to", "trc", tmp_path / "o.trc", "--input-fps", "30", "--size", "640x480")  # fmt: skip
    assert isinstance(ran.exception, UsageError) and "--per-person" in str(ran.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["two.csv"]


def two_people(folder: Path) -> Path:
    return write(folder / "two.csv", "wide-csv", film(30))


# What all of them have in common

READ_AGAIN = [row.name for row in POSE_FORMATS if row.exporter and row.reader]
SUFFIXES = {row.name: row.suffix for row in POSE_FORMATS}


@pytest.mark.parametrize("name", READ_AGAIN)
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    row = find_format(name)
    assert row is not None
    pytest.importorskip(row.package or "numpy")
    results = film()
    path = write(tmp_path / f"o{row.suffix}", name, results)
    found = read_poses(path)
    assert isinstance(found, PoseFile) and found.tracked and found.format == name
    assert sorted(found.people.values()) == sorted(NAMES.values())
    ids = {track: number for number, name in found.people.items() for track, own in NAMES.items() if name == own}
    for result, frame in zip(results, found.frames, strict=True):
        poses, again = result.final, found.poses[frame.id]
        assert again.track_id.tolist() == [ids[track] for track in poses.track_id.tolist()]
        missing = poses.score == 0
        assert np.abs(np.where(missing[:, :, None], 0, again.xy - poses.xy)).max() <= 0.0051
        assert np.abs(again.score - poses.score).max() <= 6e-5


@pytest.mark.parametrize("name", READ_AGAIN)
def test_names_go_through_convert(tmp_path: Path, name: str) -> None:
    row = find_format(name)
    assert row is not None
    pytest.importorskip(row.package or "numpy")
    path = write(tmp_path / f"o{row.suffix}", name, film())
    given = PoseInput(path, fps=Fraction(30))
    assert sorted(read_aligned(given).header["track_names"].values()) == ["Ana", "Bo"]
    ran = run("convert", path, "--input-fps", "30", "--size", "640x480", "--to", "dlc-csv", tmp_path / "again.csv")
    assert ran.exception is None
    assert ",Ana," in (tmp_path / "again.csv").read_text()


@pytest.mark.parametrize("name", WHOLE)
def test_other_keypoints_are_written_or_refused(tmp_path: Path, name: str) -> None:
    row = find_format(name)
    assert row is not None
    pytest.importorskip(row.package or "numpy")
    layout = KeypointLayout(("tip", "base"), ((0, 1),), (0, 1), (0.1, 0.1))
    results = [Result(Frame(blank(SIZE), i, i / 25, "walk.mp4"), poses_of(i, [1], 2)) for i in range(3)]
    path = tmp_path / f"o{row.suffix}"
    if row.coco_only:
        with pytest.raises(UsageError, match="COCO's 17 keypoints only"):
            write(path, name, results, info=layout.to_dict())
        return
    write(path, name, results, info=layout.to_dict())
    assert path.exists()


@pytest.mark.parametrize("name", WHOLE)
def test_nobody_at_all_is_written(tmp_path: Path, name: str) -> None:
    row = find_format(name)
    assert row is not None
    pytest.importorskip(row.package or "numpy")
    results = [Result(Frame(blank(SIZE), i, i / 25, "walk.mp4"), Poses.empty()) for i in range(3)]
    assert write(tmp_path / f"o{row.suffix}", name, results).exists()


def test_each_person_gets_a_file(tmp_path: Path) -> None:
    write(tmp_path / "walk.dlc.csv", "dlc-csv", film(), per_person=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk_Ana.dlc.csv", "walk_Bo.dlc.csv"]
    assert "Bo" not in (tmp_path / "walk_Ana.dlc.csv").read_text()


def test_names_that_file_names_cannot_have(tmp_path: Path) -> None:
    info = {**INFO, "track_names": {"2": "a/b", "5": "A b"}}
    write(tmp_path / "o.trc", "trc", film(), per_person=True, info=info)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o_A_b_5.trc", "o_a_b_2.trc"]


def test_people_without_ids_are_refused_where_ids_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --no-track"):
        write(tmp_path / "o.csv", "dlc-csv", film(tracks=(-1,)))
    assert not list(tmp_path.iterdir())


def test_images_are_refused_where_times_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for videos, and these are images"):
        write(tmp_path / "o.csv", "dlc-csv", film(), image_ids=range(20))


def test_ids_of_people_in_files() -> None:
    assert track_ids(["person_3", "Ana", "person_1", "mouse"]) == {"person_3": 3, "Ana": 2, "person_1": 1, "mouse": 4}


# The command


def test_to_writes_every_kind_at_once_or_nothing(tmp_path: Path) -> None:
    ran = run("convert", OLD_JOURNAL, "--to", "dlc-csv", tmp_path / "a.csv", "--to", "wide-csv", f"{tmp_path}/")
    assert ran.exception is None, ran.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "old_journal.wide.csv"]
    again = run("convert", OLD_JOURNAL, "--to", "dlc-csv", tmp_path / "a.csv")
    assert isinstance(again.exception, TposeError) and "--overwrite" in str(again.exception)
    over = run("convert", OLD_JOURNAL, "--to", "dlc-csv", tmp_path / "a.csv", "--overwrite")
    assert over.exception is None


def test_a_name_with_the_ending_of_another_format_is_refused(tmp_path: Path) -> None:
    ran = run("convert", OLD_JOURNAL, "--to", "xlsx", tmp_path / "a.csv")
    assert "expected a name that ends in .xlsx" in str(ran.exception)
    joined = run("join", OLD_JOURNAL, "-o", tmp_path / "a.json")
    assert "expected the name of a journal" in str(joined.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"time,left_knee\n0,4\n", b"\xff\xfe\x00"])
def test_what_is_no_pose_file_is_said_with_what_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w3.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no poses are read from such a file; name a journal, which tpose video makes"):
        read_poses(path)
    (tmp_path / "w3_pose.mp4.poses.jsonl").touch()
    with pytest.raises(InputError, match=r"name a journal beside it: w3_pose\.mp4\.poses\.jsonl"):
        read_poses(path)


def test_files_of_people_are_not_replaced_unless_asked(tmp_path: Path) -> None:
    words = "convert", OLD_JOURNAL, "--to", "dlc-csv", tmp_path / "a.csv", "--per-person"
    assert run(*words).exception is None
    again = run(*words)
    assert isinstance(again.exception, UsageError) and "a_person_1.csv already exists" in str(again.exception)
    assert run(*words, "--overwrite").exception is None


def test_to_takes_formats_with_an_option_too(tmp_path: Path) -> None:
    assert run("convert", OLD_JOURNAL, "--to", "csv", tmp_path / "a.csv").exception is None
    assert (tmp_path / "a.csv").read_text().startswith("frame,time_s,track,joint")
    twice = run("convert", OLD_JOURNAL, "--csv", tmp_path / "a.csv", "--to", "csv", tmp_path / "b.csv")
    assert "has that format already" in str(twice.exception)


def test_corrections_arrive_in_the_files(tmp_path: Path) -> None:
    journal = Path(shutil.copy(OLD_JOURNAL, tmp_path))
    placed = run("edit", journal, "--name", "1=Ana", "--set-joint", "1:left_wrist@0.2=101,202")
    assert placed.exception is None, placed.output
    assert run("convert", journal, "--to", "dlc-csv", tmp_path / "o.dlc.csv", "--smooth", "none").exception is None
    found = read_poses(tmp_path / "o.dlc.csv")
    assert isinstance(found, PoseFile) and list(found.people.values()) == ["Ana"]
    assert [101, 202] in [poses.xy[0, 9].tolist() for poses in found.poses.values()]


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("scorer,a,a,a\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,1,2\n")
    with pytest.raises(InputError, match="expected 3 cells, got 2"):
        read_poses(path)
    path.write_text("scorer,a\n0,1\n")
    with pytest.raises(InputError, match="no lines bodyparts and coords"):
        read_poses(path)
    path.write_text("frame,time_s,track,name,person,nose_x,nose_y\n")
    with pytest.raises(InputError, match="expected the columns"):
        read_poses(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match=r"not a file of SLEAP.*DeepLabCut's tables as CSV|needs sleap-io"):
        read_poses(path)


ADDED = """
import sys
from importlib import metadata
from tposecli.formats.catalog import PoseFormat

class Point:
    name, value, dist = "heads", "made.up:row", None
    def load(self):
        return PoseFormat("heads", help="Heads", suffix=".heads", exporter="tests.formats.made_up:export_heads")

class Broken(Point):
    def load(self):
        raise RuntimeError("no such thing")

import tposecli.formats.catalog as catalog
catalog.entry_points = lambda group: [Broken(), Point()] if group == "tposecli.formats" else []
from tposecli.cli.main import main
main()
"""


def test_another_package_adds_a_format(tmp_path: Path) -> None:
    words = [str(word) for word in ("convert", OLD_JOURNAL, "--to", "heads", tmp_path / "o.heads")]
    ran = subprocess.run([sys.executable, "-c", ADDED, *words], capture_output=True, text=True, cwd=REPOSITORY)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "o.heads").read_text().startswith("0 1: 2")
    assert "cannot be loaded (no such thing); left out" in ran.stderr


def test_an_unknown_format_is_refused_with_those_that_there_are() -> None:
    ran = run("convert", OLD_JOURNAL, "--to", "fbx", "o.fbx")
    assert "dlc-h5" in str(ran.exception)
