"""tpose plot: what the curves hold, how takes are aligned, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from tests.formats.test_angles import FPS, PX_PER_M, SHAPE, journal, tpose
from tests.geometry.test_facing import spatial, walker
from tposecli.formats.align import PoseInput
from tposecli.geometry.angles import ALL_ANGLES, JOINT_ANGLES
from tposecli.geometry.motion_options import ScaleOptions
from tposecli.report.columns import Collector
from tposecli.report.plot.curves import Curve, read_curves
from tposecli.report.plot.options import ANGLE_NAMES, Event, PlotOptions, sided

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
        (("--align", "knee>2"), "expected an angle that passes a value, as 'left_knee>60'"),
        (("--align", "right_knee>160", "--people", "1"), "does not happen, it goes from"),
        (("--person-height", "1.8"), "say whose height it is"),
    ],
)
def test_what_cannot_be_plotted_is_refused(journal: Path, words: tuple[str, ...], reason: str) -> None:
    out = journal.parent / "none.png"
    ran = tpose("plot", journal, "-o", out, *words)
    assert ran.exit_code != 0 and reason in ran.output + str(ran.exception)
    assert not out.exists()


def test_other_endings_and_existing_files_are_refused(journal: Path) -> None:
    ran = tpose("plot", journal, "-o", journal.parent / "knee.jpg")
    assert ran.exit_code == 2 and "expected a name that ends with .png, .svg, .pdf" in ran.output
    out = journal.parent / "knee.png"
    out.write_text("mine")
    ran = tpose("plot", journal, "-o", out)
    assert ran.exit_code != 0 and out.read_text() == "mine"
