"""Commands run as a user runs them; what they wrote is read back and held against the truth."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from faster_coco_eval import COCO
from rich.console import Console

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.cli.options.common import command_line
from tposecli.cli.terminal import LineHandler
from tposecli.formats.journal.journal import read_journal
from tposecli.utils.errors import TposeError

MOST_DISTANCE = 0.12
"""Of the person's height: mean distance of drawn joints to the truth."""
LEAST_DRAWN = 0.9


def tpose(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def times(path: Path, kind: str = "video") -> list[float]:
    """Presentation times of all frames, seconds."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(**{kind: 0})]


def packets(path: Path) -> list[bytes]:
    """Audio packets, in order."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "tposecli", "models", "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "Usage: python -m tposecli models" in done.stdout


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Result]]:
    """The README's main command."""
    folder = tmp_path_factory.mktemp("walk")
    source = REPOSITORY / "sample_media" / "walk.mp4"
    yield folder, tpose("video", source, "-o", folder / "walk.mp4", "--json", folder / "walk.json")


def test_main_command_succeeds_and_sums_up(walk: tuple[Path, Result]) -> None:
    folder, result = walk
    assert result.exit_code == 0, result.output
    assert "135 frames" in result.stderr
    assert {path.name for path in folder.iterdir()} == {"walk.mp4", "walk.json", "walk.mp4.poses.jsonl"}


def test_frames_times_and_sound_come_out_as_they_went_in(walk: tuple[Path, Result], media: Path) -> None:
    ours, theirs = times(walk[0] / "walk.mp4"), times(media / "walk.mp4")
    assert len(ours) == len(theirs)
    assert np.abs(np.subtract(ours, theirs)).max() < 1e-3
    assert packets(walk[0] / "walk.mp4") == packets(media / "walk.mp4")


def test_joints_lie_on_the_person(walk: tuple[Path, Result], media: Path) -> None:
    truth, found = (COCO(str(folder / "walk.json")) for folder in (media, walk[0]))
    people = {found.imgs[person["image_id"]]["frame_index"]: person for person in found.anns.values()}
    distances, drawn, visible = [], 0, 0
    for person in truth.anns.values():
        expected = np.reshape(person["keypoints"], (17, 3))
        seen = expected[:, 2] == 2
        visible += seen.sum()
        ours = people.get(truth.imgs[person["image_id"]]["frame_index"])
        if ours is None:
            continue
        got = np.reshape(ours["keypoints"], (17, 3))
        shown = seen & (got[:, 2] == 2)
        drawn += shown.sum()
        distances += list(np.linalg.norm(got[shown, :2] - expected[shown, :2], axis=1) / person["bbox"][3])
    assert np.mean(distances) < MOST_DISTANCE
    assert drawn / visible > LEAST_DRAWN


def test_skeleton_is_in_the_pixels(walk: tuple[Path, Result], media: Path) -> None:
    def first(path: Path) -> np.ndarray[Any, Any]:
        with av.open(str(path)) as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)

    change = abs(first(walk[0] / "walk.mp4") - first(media / "walk.mp4")).max(axis=2) > 60
    person = next(iter(COCO(str(walk[0] / "walk.json")).anns.values()))
    left, top, width, height = person["bbox"]
    inside = change[int(top) - 10 : int(top + height) + 10, int(left) - 10 : int(left + width) + 10]
    assert inside.sum() > 500
    assert inside.sum() > 0.95 * change.sum()


def test_json_says_where_it_came_from_and_is_strict(walk: tuple[Path, Result]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads((walk[0] / "walk.json").read_text(), parse_constant=refuse)
    info = content["info"]
    assert info["model"] == "transpose-m-a3"
    assert len(info["weights_sha256"]) == 64
    assert info["command"] == command_line()
    assert [image["frame_index"] for image in content["images"]] == list(range(135))


def test_journal_holds_every_frame(walk: tuple[Path, Result]) -> None:
    journal = read_journal(walk[0] / "walk.mp4.poses.jsonl")
    assert journal.header["fps"] == "30000/1001"
    assert journal.header["batch_size"] == {"torch": 8, "openvino": 32}[journal.header["backend"]]
    assert [frame.index for frame in journal] == list(range(135))


def test_nothing_is_overwritten_unasked(walk: tuple[Path, Result], media: Path) -> None:
    before = (walk[0] / "walk.mp4").stat().st_mtime_ns
    result = tpose("video", media / "walk.mp4", "-o", walk[0] / "walk.mp4")
    assert isinstance(result.exception, TposeError)
    assert "--overwrite" in str(result.exception)
    assert (walk[0] / "walk.mp4").stat().st_mtime_ns == before


def test_attention_lies_beside_every_frame(tmp_path: Path, media: Path) -> None:
    result = tpose("video", media / "walk.mp4", "--attention", tmp_path / "why", "--end", "0.3", "-q")
    assert result.exit_code == 0, result.output
    pictures = sorted((tmp_path / "why").glob("*.jpg"))
    assert [path.name for path in pictures] == [f"{index:06d}.jpg" for index in range(9)]
    assert cv2.imread(str(pictures[0])).shape == cv2.imread(str(pictures[-1])).shape


def test_several_videos_go_into_a_folder_and_a_bad_one_is_named(tmp_path: Path, media: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    out = tmp_path / "out"
    inputs = [media / "walk.mp4", bad, media / "portrait.mp4"]
    result = tpose("video", *inputs, "-o", out, "--json", out, "--end", "0.2")
    assert result.exit_code == 1
    assert "bad.mp4" in result.stderr
    assert {path.name for path in out.iterdir() if path.suffix == ".mp4"} == {"walk.mp4", "portrait.mp4"}
    assert {path.name for path in out.iterdir() if path.suffix == ".json"} == {"walk.json", "portrait.json"}


def test_portrait_comes_out_upright_with_its_own_times(tmp_path: Path, media: Path) -> None:
    quick = "--model", "transpose-r18-a3", "--detector", f"boxes:{media / 'portrait.json'}"
    result = tpose("video", media / "portrait.mp4", "-o", tmp_path / "p.mp4", *quick, "-q")
    assert result.exit_code == 0, result.output
    ours, theirs = times(tmp_path / "p.mp4"), times(media / "portrait.mp4")
    assert np.abs(np.subtract(ours, theirs)).max() < 1e-3
    with av.open(str(tmp_path / "p.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.height > frame.width
        assert frame.rotation == 0
    truth = COCO(str(media / "portrait.json"))
    assert len(ours) == len(truth.imgs)


@pytest.mark.parametrize("format_", ["dataset", "results"])
def test_images_give_json_and_pictures(tmp_path: Path, media: Path, format_: str) -> None:
    stills = media / "stills"
    json_file, pictures = tmp_path / "out.json", tmp_path / "out"
    result = tpose("images", stills, "--json", json_file, "-o", pictures, "--json-format", format_, "-q")
    assert result.exit_code == 0, result.output
    names = {path.name for path in stills.iterdir() if path.suffix == ".jpg"}
    assert {path.name for path in pictures.iterdir()} == names
    truth = COCO(str(media / "stills.json"))
    if format_ == "results":
        assert truth.loadRes(str(json_file)).anns
    else:
        assert {image["file_name"] for image in COCO(str(json_file)).imgs.values()} == names


def test_one_bad_picture_among_good_ones(tmp_path: Path, media: Path) -> None:
    good = sorted((media / "stills").glob("*.jpg"))[0]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (tmp_path / "good.jpg").write_bytes(good.read_bytes())
    (tmp_path / "notes.txt").write_text("no picture either")
    result = tpose("images", tmp_path, "--json", tmp_path / "out.json", "--log-json")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.exit_code == 1
    assert [event["event"] for event in events[-2:]] == ["end", "done"]
    assert [entry["input"] for entry in events[-2]["failed"]] == ["broken.jpg"]
    assert events[-2]["frames"] == 1 and events[-1]["failed"] == ["broken.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["video"], "INPUTS"),
        (["video", "-"], "nothing to write"),
        (["video", "walk.mp4", "-o", "out.mp4", "--model", "transpose-r-a5"], "did you mean"),
        (["video", "walk.mp4", "-o", "out.mp4", "--detector", "yoloo:x"], "known"),
        (["video", "walk.mp4", "-o", "out.mp4", "--start", "5", "--end", "2"], "not after the start"),
        (["video", "walk.mp4", "-o", "out.mp4", "--start", "soon"], "is not a time"),
        (["video", "walk.mp4", "-o", "out.mp4", "--batch-size", "many"], "--batch-size"),
        (["video", "walk.mp4", "-o", "walk.mp4"], "is an input"),
    ],
)
def test_usage_errors_name_the_remedy(tmp_path: Path, media: Path, arguments: list[str], message: str) -> None:
    places = {"walk.mp4": str(media / "walk.mp4"), "out.mp4": str(tmp_path / "out.mp4")}
    result = tpose(*(places.get(argument, argument) for argument in arguments))
    status = getattr(result.exception, "exit_status", result.exit_code)
    assert status == 2
    assert message in f"{result.output}{result.exception}"
    assert not (tmp_path / "out.mp4").exists()


def test_models_are_listed() -> None:
    result = tpose("models")
    assert result.exit_code == 0
    for name in ("transpose-m-a3", "transpose-r18-a3", "transpose-r-a4", "transpose-h-s", "transpose-h-a6"):
        assert name in result.output
    assert "https://" not in result.output and "https://" in tpose("models", "--verbose").output


@pytest.mark.parametrize("words", [["models"], ["weights", "list"], ["doctor"]])
def test_tables_have_no_colours_in_a_pipe_and_fit_80_columns(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tposecli", *words]
    home = {"TPOSE_HOME": "cache", "FORCE_COLOR": "", "COLUMNS": "80"}
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **home}, cwd=tmp_path
    ).stdout
    assert output and "\x1b" not in output
    if words != ["doctor"]:  # Its lines are paths and versions, which are never broken.
        assert max(map(len, output.splitlines())) <= 80


def test_main_command_runs_without_what_others_need(tmp_path: Path, media: Path) -> None:
    """Nor does it take the time to import that."""
    others = ["torchvision", "ultralytics", "onnxruntime", "torch._dynamo"]
    others += ["matplotlib", "jsonschema", "faster_coco_eval"]
    script = f"import sys; sys.modules.update(dict.fromkeys({others}))\nfrom tposecli.cli.main import main; main()"
    command = [sys.executable, "-c", script, "video", str(media / "walk.mp4"), "-o", str(tmp_path / "out.mp4")]
    subprocess.run([*command, "--end", "0.3", "-q"], check=True, env={**os.environ, "TPOSE_HOME": str(tmp_path)})
    assert len(times(tmp_path / "out.mp4")) == 9


def test_python_api_gives_what_the_readme_says(media: Path) -> None:
    from tposecli import PoseEstimator, open_video, run

    with open_video(media / "walk.mp4", end_s=0.2) as video:
        results = list(run(video, PoseEstimator()))
    assert len(results) == 6
    assert all(result.final.xy.shape[1:] == (17, 2) for result in results)


def test_log_lines_stay_whole() -> None:
    seen = io.StringIO()
    address = f"https://example.org/{'x' * 90}"
    LineHandler(Console(file=seen, width=40)).emit(logging.makeLogRecord({"msg": f"downloading {address} [1/2]"}))
    assert seen.getvalue() == f"downloading {address} [1/2]\n"


def test_a_log_line_that_cannot_be_shown_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("no space left")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    LineHandler(Console(file=Full())).emit(logging.makeLogRecord({"msg": "nobody listens"}))


@pytest.mark.parametrize("exists", [True, False])
def test_outputs_with_a_slash_are_folders_for_one_input_too(tmp_path: Path, media: Path, exists: bool) -> None:
    folder = tmp_path / "d"
    if exists:
        folder.mkdir()
    command = ["video", str(media / "walk.mp4"), "-o", f"{folder}/", "--json", f"{folder}/", "--end", "0.1"]
    ran = CliRunner().invoke(cli, [*command, "--model", "transpose-r18-a3", "--detector", "full-frame", "-q"])
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    assert {"walk.mp4", "walk.json"} <= {path.name for path in folder.iterdir()}


FAST = ["--model", "transpose-r18-a3", "--detector", "full-frame", "--offline", "-q"]


def done(*arguments: object) -> None:
    """Run the command line in this process, to a good end."""
    ran = tpose(*arguments)
    assert ran.exit_code == 0, (ran.output, ran.exception)


def test_slash_folders_of_images(tmp_path: Path, media: Path) -> None:
    (tmp_path / "photos.2").mkdir()
    (tmp_path / "photos.2/a.jpg").write_bytes(next((media / "stills").glob("*.jpg")).read_bytes())
    out = tmp_path / "d"
    words = [
        "-o",
        f"{out}/",
        "--json",
        f"{out}/",
        "--csv",
        f"{out}/",
        "--mmpose",
        f"{out}/",
        "--openpose",
        f"{out}/op/",
    ]
    done("images", tmp_path / "photos.2", *words, *FAST)
    done("images", tmp_path / "photos.2/a.jpg", f"{media}/stills", "--csv", f"{out}/", *FAST)
    done("images", tmp_path / "photos.2/a.jpg", "--csv", f"{out}/", *FAST)
    names = {path.name for path in out.iterdir() if not path.name.endswith("poses.jsonl")}
    made = {f"photos.2.{ending}" for ending in ("json", "csv", "mmpose.json")}
    assert names == {"a.jpg", "op", "poses.csv", "a.csv", *made}


def test_slash_folders_of_stored_poses(tmp_path: Path, media: Path) -> None:
    made, out = tmp_path / "walk.pose.mp4", tmp_path / "d"
    done("video", media / "walk.mp4", "--end", "0.1", "-o", made, "--json", f"{tmp_path}/walk.json", *FAST)
    journal = f"{made}.poses.jsonl"
    done("convert", journal, "--csv", f"{out}/", "--mmpose", f"{out}/")
    done("convert", tmp_path / "walk.json", "--csv", f"{out}/")
    done("render", journal, "-i", media / "walk.mp4", "-o", f"{out}/", "--json", f"{out}/")
    made_names = {f"walk.pose.{ending}" for ending in ("csv", "mmpose.json", "json", "mp4")}
    assert {path.name for path in out.iterdir()} == {"walk.csv", *made_names}
    done("convert", f"{out}/walk.pose.mmpose.json", "--csv", f"{out}/", "--overwrite", "--input-fps", "25")
    assert {path.name for path in out.iterdir()} == {"walk.csv", *made_names}


@pytest.mark.parametrize(
    "words",
    [
        ["render", "a.json", "-i", "walk.mp4", "-o", "s3://bucket/out/"],
        ["video", "walk.mp4", "--json", "https://example.org/a.json"],
        ["video", "walk.mp4", "--crops", "file:///tmp/c"],
        ["images", "a.jpg", "--csv", "https://me:secret@example.org/a.csv?token=1"],
        ["convert", "http://example.org/a.json", "--csv", "a.csv"],
        ["render", "a.json", "-i", "https://example.org/a.mp4", "-o", "b.mp4"],
        ["attention", "s3://bucket/a.jpg", "-o", "b.png"],
        ["validate", "s3://bucket/a.json"],
        ["score", "a.json", "s3://bucket/b.json"],
    ],
    ids=lambda words: words[0],
)
def test_addresses_are_refused_where_paths_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = tpose(*words)
    assert ran.exit_code == 2 and "://" in ran.output and "is an address; " in ran.output
    assert "secret" not in ran.output and "token" not in ran.output
    assert not list(tmp_path.iterdir())


def test_dir_lists_the_public_names() -> None:
    import tposecli

    assert {"PoseEstimator", "run", "open_video", "__version__"} <= set(dir(tposecli))
    assert not {"Any", "TYPE_CHECKING"} & set(dir(tposecli))
    assert all(hasattr(tposecli, name) for name in dir(tposecli))
