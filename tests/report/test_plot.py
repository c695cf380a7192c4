"""tpose plot: what the curves hold, how takes are aligned, and what is refused."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from tests.formats.test_angles import FPS, PX_PER_M, SHAPE, journal, tpose
from tests.geometry.test_facing import spatial, walker
from tposecli.formats.align import PoseInput
from tposecli.formats.corrections import CorrectionsFile, corrections_path, journal_digest, write_corrections
from tposecli.geometry.angles import ALL_ANGLES, JOINT_ANGLES
from tposecli.geometry.motion_options import ScaleOptions
from tposecli.report.columns import Collector
from tposecli.report.plot.curves import Curve, read_curves
from tposecli.report.plot.options import ANGLE_NAMES, Event, PlotOptions, sided
from tposecli.tracking.corrections import Name

__all__ = ["journal"]

TRUTH = spatial(walker(90))
LEFT_KNEE, RIGHT_KNEE = ([angle.name for angle in JOINT_ANGLES].index(f"{side}_knee") for side in ("left", "right"))


def curves(journal: Path, takes: int = 1, **options: object) -> list[Curve]:
    wanted = PlotOptions(**{"people": ("1",), **options})  # type: ignore[arg-type]
    return read_curves([PoseInput(journal)] * takes, wanted)


def test_names_are_those_of_the_angles() -> None:
    assert set(ANGLE_NAMES) == {angle.name for angle in ALL_ANGLES}
    assert sided("Left-Knee") == ("left_knee",) and sided("hip") == ("left_hip", "right_hip")


def test_an_angle_is_that_of_the_walker_with_its_gap(journal: Path) -> None:
    left, right = curves(journal, angles=sided("knee"))
    assert left.panel == "left knee flexion (°)" and not left.unsigned
    assert right.smooth == pytest.approx(TRUTH[:, RIGHT_KNEE], abs=3)
    assert right.raw == pytest.approx(TRUTH[:, RIGHT_KNEE], abs=1)
    assert np.isnan(left.raw[10:25]).all() and np.isnan(left.smooth[14:20]).all(), "half a second is too long to fill"
    front = curves(journal, angles=("left_knee",), people=("2",))[0]
    assert front.unsigned


def test_speeds_and_positions_in_pixels_and_metres(journal: Path) -> None:
    x, y = curves(journal, joints=("nose",))
    assert (x.panel, y.panel) == ("nose x (px)", "nose y (px)") and y.down and not x.down
    truth = walker(90)[:, 0]
    (speed,) = curves(journal, joints=("nose",), speed=True, scale=ScaleOptions(px_per_m=PX_PER_M))
    assert speed.panel == "nose (m/s)"
    walked = float(np.hypot(*np.diff(truth[[5, 55], :2], axis=0)[0])) / (50 / FPS)
    assert np.nanmean(speed.smooth[5:55]) == pytest.approx(walked, rel=0.1)
    tall = curves(journal, joints=("nose",), scale=ScaleOptions(height_m=SHAPE.height, person="1"))[0]
    assert tall.smooth[-1] - tall.smooth[0] == pytest.approx(truth[-1, 0] - truth[0, 0], rel=0.07)
    (turning,) = curves(journal, angles=("right_knee",), speed=True)
    assert turning.panel == "right knee (°/s)" and np.nanmax(turning.smooth) > 100


def test_takes_are_aligned_by_times_and_by_an_event(journal: Path) -> None:
    first, second = curves(journal, takes=2, angles=("right_knee",), align_s=(0.5, 1.0))
    assert (first.time_s[0], second.time_s[0]) == (-0.5, -1.0)
    (found,) = curves(journal, angles=("right_knee",), event=Event.parse("right_knee>40"))
    rises = np.flatnonzero((TRUTH[:-1, RIGHT_KNEE] < 40) & (TRUTH[1:, RIGHT_KNEE] >= 40))[0]
    assert -found.time_s[0] == pytest.approx(rises / FPS, abs=1.5 / FPS)
    assert np.interp(0, found.time_s, found.smooth) == pytest.approx(40, abs=0.5)


def test_a_run_that_is_too_long_is_plotted_in_part_and_said(
    journal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tposecli.report.read_run.Collector", partial(Collector, most=50))
    curves(journal, angles=("right_knee",))
    assert "too long to be shown as a whole; shown from 0 to 2 s" in caplog.text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_ending_chooses_the_kind_of_file(journal: Path, suffix: str) -> None:
    out = journal.parent / f"knee{suffix}"
    ran = tpose("plot", journal, journal, "--angle", "knee", "--align", "0.1,0.2", "-o", out)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    if suffix == ".png":
        image = cv2.imread(str(out))
        assert image.shape[1] > 1000 and (image < 100).any()
    elif suffix == ".svg":
        assert ElementTree.parse(out).getroot().tag.endswith("svg")
        before = out.read_bytes()
        assert (
            tpose("plot", journal, journal, "--angle", "knee", "--align", "0.1,0.2", "-o", out, "--overwrite").exit_code
            == 0
        )
        assert out.read_bytes() == before, "equal plots are equal files"
    else:
        assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--angle", "ankle"), "one camera and 17 joints without a foot cannot say it"),
        (("--angle", "kne"), "there is no such angle; choose of: knee"),
        (("--joint", "toe"), "'toe' is not known"),
        (("--people", "7"), "there is no person 7; choose of: 1, 2"),
        (("--align", "1,2"), "expected a time for each of the 1 journals, got 2"),
        (("--align", "99"), "this take goes from 0 to 1.96667 s; choose a time in it"),
        (("--align", "knee>20"), "it has two sides; name one: left_knee or right_knee"),
        (("--align", "ankle>20"), "there is no angle ankle; choose of: left_knee, right_knee"),
        (("--align", "right_knee>=20"), "rises above (>) or falls below (<) a number of degrees"),
        (("--align", "right_knee>160", "--people", "1"), "does not happen, it goes from"),
        (("--joint", "nose", "--person-height", "1.8"), "say whose height it is"),
        (("-i", "a.mp4", "-i", "b.mp4", "-i", "c.mp4"), "expected a video for each of the 2 takes, got 3"),
    ],
)
def test_what_cannot_be_plotted_is_refused(journal: Path, words: tuple[str, ...], reason: str) -> None:
    out = journal.parent / "none.png"
    ran = tpose("plot", journal, *([journal] if "-i" in words else []), "-o", out, *words)
    assert ran.exit_code != 0 and reason in " ".join((ran.output + str(ran.exception)).split())
    assert not out.exists()


def test_other_endings_and_existing_files_are_refused(journal: Path) -> None:
    ran = tpose("plot", journal, "-o", journal.parent / "knee.jpg")
    assert ran.exit_code == 2 and "expected a name that ends with .png, .svg, .pdf" in ran.output
    out = journal.parent / "knee.png"
    out.write_text("mine")
    ran = tpose("plot", journal, "-o", out)
    assert ran.exit_code != 0 and out.read_text() == "mine"


def text_of(figure: Path) -> str:
    """Return the words of an SVG, which stand in its comments."""
    return " | ".join(re.findall(r"<!-- (.*?) -->", figure.read_text()))


def test_poses_of_other_tools_are_plotted_with_a_frame_rate_or_a_video(journal: Path, media: Path) -> None:
    table, out = journal.parent / "dlc.csv", journal.parent / "dlc.svg"
    assert tpose("edit", journal, "--name", "1=Ana").exit_code == 0
    assert tpose("convert", journal, "--to", "dlc-csv", table, "-q").exit_code == 0
    words = ("plot", table, "--angle", "right_knee", "--people", "Ana", "-o", out, "--overwrite")
    ran = tpose(*words)
    assert ran.exit_code != 0 and "--input-fps" in str(ran.exception)
    ran = tpose(*words, "--input-fps", FPS, "--size", "1200x700")
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    assert "right knee flexion" in text_of(out)
    assert tpose(*words, "-i", media / "walk.mp4").exit_code == 0
    ran = tpose(*words[:1], table, *words[1:], *("-i", media / "walk.mp4", "-i", media / "crossing.mp4"))
    assert ran.exit_code == 0, ran.output + str(ran.exception)


def test_the_legend_tells_people_of_one_name_apart_and_who_has_no_sign(journal: Path) -> None:
    steps = (Name(1, "Ana"), Name(2, "ana"))
    content = CorrectionsFile(journal_digest(journal), {}, steps)
    write_corrections(corrections_path(journal), content)
    out = journal.parent / "both.svg"
    ran = tpose("plot", journal, "--angle", "right_knee", "-o", out)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    assert "Ana (1) |" in text_of(out) and "ana (2) (unsigned flexion)" in text_of(out)
    ran = tpose("plot", journal, "--angle", "right_knee", "--facing", "right", "-o", out, "--overwrite")
    assert ran.exit_code == 0 and "unsigned" not in text_of(out)


def test_a_height_that_no_angle_needs_is_said(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    curves(journal, angles=("right_knee",), scale=ScaleOptions(height_m=1.7))
    assert "--person-height and --scale-px-per-m change nothing about angles; add --joint" in caplog.text
    caplog.clear()
    curves(journal, joints=("nose",), scale=ScaleOptions(px_per_m=100))
    assert "change nothing" not in caplog.text


def test_a_page_of_other_tools_poses_takes_a_frame_rate(journal: Path) -> None:
    table, page = journal.parent / "dlc.csv", journal.parent / "page.html"
    assert tpose("convert", journal, "--to", "dlc-csv", table, "-q").exit_code == 0
    assert "--input-fps" in str(tpose("report", table, "-o", page).exception)
    ran = tpose("report", table, "-o", page, "--input-fps", FPS, "--size", "1200x700", "-q")
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    assert page.exists()
