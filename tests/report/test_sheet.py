"""tpose sheet: which frames are shown, what is written below them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tests import REPOSITORY
from tposecli.cli.main import cli


def tpose(*words: object) -> Ran:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a second of the crossing."""
    folder = tmp_path_factory.mktemp("run")
    words = ("--start", "2.4", "--end", "3.4", "-q")
    ran = tpose("video", REPOSITORY / "sample_media" / "crossing.mp4", "--json", folder / "out.json", *words)
    assert ran.exit_code == 0, ran.output
    return folder / "out.json.poses.jsonl"


def sheet(run: Path, media: Path, *words: object) -> tuple[np.ndarray, str]:
    out = run.parent / "sheet.png"
    ran = tpose("sheet", run, "-i", media / "crossing.mp4", "-o", out, "--overwrite", *words)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    return cv2.imread(str(out)), ran.output


def test_frames_at_equal_distances_fill_the_columns(run: Path, media: Path) -> None:
    image, said = sheet(run, media, "--frames", 6, "--columns", 3, "--tile-width", 200)
    assert "6 frames" in said
    assert image.shape[1] == 3 * 210 + 10
    few, _ = sheet(run, media, "--frames", 2, "--columns", 3, "--tile-width", 200)
    assert few.shape[1] == 2 * 210 + 10 and few.shape[0] < image.shape[0]
    middle = image[20:120, 20:200].astype(float)
    other = image[20:120, 230:410].astype(float)
    assert np.abs(middle - other).mean() > 1, "the frames differ"


def test_a_short_run_has_no_more_tiles_than_frames(run: Path, media: Path) -> None:
    _, said = sheet(run, media, "--frames", 400, "--tile-width", 80)
    assert said.endswith(f"{len(run.read_text().splitlines()) - 2} frames\n"), "a line for each, and head and end"


def test_worst_moments_are_near_the_person_and_differ(run: Path, media: Path) -> None:
    image, said = sheet(run, media, "--worst", 4, "--columns", 2, "--tile-width", 240)
    assert "4 moments" in said and image.shape[1] == 2 * 250 + 10
    ring = (image[:, :, 2] > 200) & (image[:, :, 1] < 60) & (image[:, :, 0] > 90)
    assert ring.sum() > 200, "the joints are marked"


def test_heads_are_blurred_on_sheets_too(run: Path, media: Path) -> None:
    plain, _ = sheet(run, media, "--frames", 2, "--style", "joints")
    blurred, _ = sheet(run, media, "--frames", 2, "--style", "joints", "--blur-heads")
    assert np.abs(plain.astype(int) - blurred).max() > 50


def test_images_have_sheets_with_their_names(tmp_path: Path, media: Path) -> None:
    stills = media / "stills"
    ran = tpose("images", stills, "--json", tmp_path / "a.json", "--detector", "bundled", "-q")
    assert ran.exit_code == 0, ran.output
    assert len(json.loads((tmp_path / "a.json").read_text())["images"]) > 1
    made = tpose("sheet", tmp_path / "a.json.poses.jsonl", "-i", stills, "-o", tmp_path / "s.jpg")
    assert made.exit_code == 0, made.output + str(made.exception)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("-o", "sheet.txt"), "expected the name of an image: .jpg or .png"),
        (("-o", "s.png", "--worst", "0"), "0 is not in the range"),
        (("-o", "s.png", "--tile-width", "5000"), "5000 is not in the range"),
    ],
)
def test_what_cannot_be_made_is_refused(run: Path, media: Path, words: tuple[str, ...], reason: str) -> None:
    ran = tpose("sheet", run, "-i", media / "crossing.mp4", *words)
    assert ran.exit_code == 2 and reason in ran.output


def test_another_video_is_refused(run: Path, media: Path, tmp_path: Path) -> None:
    ran = tpose("sheet", run, "-i", media / "walk.mp4", "-o", tmp_path / "s.png")
    assert ran.exit_code != 0 and "is not the file that" in str(ran.exception)
    assert not (tmp_path / "s.png").exists()
