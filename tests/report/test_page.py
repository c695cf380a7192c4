"""The page in a browser: it shows what is asked for, exactly, and asks nobody for anything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests import REPOSITORY
from tests.support.browser import Visit, chromium
from tests.support.runs import journal_of, long_columns, made_up_journal, numbered_copy, standing, walking
from tposecli.formats.align import PoseInput
from tposecli.geometry.keypoints import COCO
from tposecli.report.make import Content, ReportJob, make_report, page_of
from tposecli.report.options import ReportOptions
from tposecli.sources.video import VideoSource
from tposecli.types import Boxes, Poses

NUMBER = """() => {
  const canvas = document.getElementById("canvas"), context = canvas.getContext("2d");
  const row = context.getImageData(0, Math.round(canvas.height / 4), canvas.width, 1).data;
  let number = 0;
  for (let bit = 0; bit < 8; bit++) if (row[4 * Math.round((bit + 0.5) * canvas.width / 8)] > 127) number |= 1 << bit;
  return number;
}"""
"""Reads the number that is burnt into the frame on the screen."""

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    visits: list[Visit] = []

    def open_page(path: Path, anchor: str = "", **settings: Any) -> Visit:
        visits.append(Visit(browser, path, anchor, **settings))
        return visits[-1]

    yield open_page
    for each in visits:
        each.close()


def report(journal: Path, *inputs: Path, embed: int = 20_000_000) -> Path:
    """Make a page without attention, which needs a net."""
    page = journal.with_name(f"{journal.name}.html")
    given = PoseInput(journal, inputs=tuple(map(str, inputs)))
    make_report(ReportJob(given, page, ReportOptions(embed, explain=False), overwrite=True))
    return page


@pytest.fixture(scope="module")
def walk_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two people with the times of portrait.mp4, whose frame rate varies."""
    folder = tmp_path_factory.mktemp("walk")
    video = numbered_copy(REPOSITORY / "sample_media" / "portrait.mp4", folder / "in.mp4")

    def people(frame: int) -> Poses:
        return standing([4 + frame / 5, 80] if 20 <= frame < 90 else [4 + frame / 5])

    return report(journal_of(video, folder / "in.poses.jsonl", people), video)


class TestFrames:
    @pytest.mark.parametrize("copy", [False, True], ids=["as it is", "smaller copy"])
    @pytest.mark.parametrize("clip", ["walk", "portrait", "crossing"])
    def test_the_frame_shown_is_the_one_asked_for(
        self, visit: Open, media: Path, tmp_path: Path, clip: str, copy: bool
    ) -> None:
        # A copy is made of a video that is too large to be taken as it is; 0 makes it so, and the limit is the same.
        video = numbered_copy(media / f"{clip}.mp4", tmp_path / ("in.mkv" if copy else "in.mp4"))
        page = report(journal_of(video, tmp_path / "in.poses.jsonl"), video)
        frames = VideoSource(video).info.frames or len(list(VideoSource(video)))
        seen = visit(page)
        for frame in [frames - 1, *(number * (frames - 1) // 9 for number in range(9))]:
            seen.script("frame => { const s = scrub; s.value = frame; s.dispatchEvent(new Event('input')); }", frame)
            seen.shown(frame)
            assert seen.script(NUMBER) == frame

    def test_while_playing_the_poses_are_those_of_the_frame(self, visit: Open, walk_page: Path) -> None:
        seen = visit(walk_page)
        pairs = seen.script(
            """async number => {
              const read = eval(number), pairs = [];
              play.click();
              while (pairs.length < 25) {
                await new Promise(requestAnimationFrame);
                pairs.push([read(), Number(document.documentElement.dataset.shown)]);
              }
              play.click();
              return pairs;
            }""".replace("eval(number)", NUMBER),
            None,
        )
        assert len({shown for _, shown in pairs}) > 3
        # The picture may be a frame ahead of the last callback, never more: both are painted together.
        assert sum(read == shown for read, shown in pairs) >= 20
        assert all(abs(read - shown) <= 1 for read, shown in pairs)

    def test_links_lead_to_moments(self, visit: Open, walk_page: Path) -> None:
        seen = visit(walk_page, "#t=1.5&id=1&joint=left_elbow")
        times = [frame.time_s for frame in VideoSource(walk_page.with_name("in.mp4"))]
        seen.shown(min(range(len(times)), key=lambda number: abs(times[number] - 1.5)))
        assert "left elbow" in seen.text("#here")


class TestHands:
    def test_keys_step_jump_and_play(self, visit: Open, walk_page: Path) -> None:
        seen = visit(walk_page)
        seen.shown(0)
        for key, frame in (("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("End", 99), ("Home", 0)):
            seen.page.keyboard.press(key)
            seen.shown(frame)
        seen.page.keyboard.press("Space")
        seen.until("document.documentElement.dataset.shown > 3")
        seen.page.keyboard.press("Space")
        assert seen.page.get_attribute("#play", "aria-label") == "Play"
        seen.page.keyboard.press("b")
        assert seen.page.is_checked("#shown input >> nth=0")

    def test_clicks_on_lane_curve_moment_and_joint(self, visit: Open, walk_page: Path) -> None:
        seen = visit(walk_page)
        times = [frame.time_s for frame in VideoSource(walk_page.with_name("in.mp4"))]
        middle = min(range(len(times)), key=lambda number: abs(times[number] - times[-1] / 2))
        lane = seen.page.locator(".lane canvas").nth(1)
        box = lane.bounding_box()
        lane.click(position={"x": box["width"] / 2, "y": 10})
        seen.until(f"Math.abs(document.documentElement.dataset.shown - {middle}) <= 2")
        assert seen.page.get_attribute(".lane >> nth=1", "data-chosen") == "true"

        seen.page.wait_for_timeout(300)  # The curves of the chosen person are drawn.
        width = seen.script("document.querySelector('.u-over').clientWidth")
        seen.page.locator(".u-over").click(position={"x": width / 4, "y": 40})
        seen.until(f"Math.abs(document.documentElement.dataset.shown - {middle / 2}) <= 4")

        seen.page.evaluate("scrollTo(0, 0)")
        seen.page.keyboard.press("Home")
        seen.shown(0)
        canvas = seen.page.locator("#canvas")
        box = canvas.bounding_box()
        scale = box["width"] / 128
        wrist = standing([4]).xy[0, 9] * scale
        canvas.click(position={"x": float(wrist[0]), "y": float(wrist[1])})
        assert "left wrist" in seen.text("#here")

    def test_what_is_taken_away(self, visit: Open, walk_page: Path) -> None:
        seen = visit(walk_page, "#t=1&id=1")
        files = {}
        for button in ("csv", "png", "svg"):
            with seen.page.expect_download() as download:
                seen.page.click(f"#take-{button}")
            files[button] = Path(download.value.path()).read_bytes()
        rows = files["csv"].decode().splitlines()
        assert rows[0].startswith("time_s,frame,track,name,joint,x,y")
        assert len(rows) == 1 + 17 * 100
        assert files["png"].startswith(b"\x89PNG")
        assert b"<path" in files["svg"] and b"left wrist" in files["svg"]

    @pytest.mark.parametrize("width", [1440, 768, 390])
    @pytest.mark.parametrize("scheme", ["dark", "light"])
    def test_nothing_sticks_out_at_any_width(self, visit: Open, walk_page: Path, width: int, scheme: str) -> None:
        seen = visit(walk_page, width=width, scheme=scheme)
        assert seen.script("document.documentElement.scrollWidth") <= width
        nameless = """[...document.querySelectorAll('button, input, select, canvas')].filter(e => e.offsetParent
          && !e.textContent.trim() && !e.ariaLabel && !e.labels?.length && !e.title && e.ariaHidden !== 'true')
          .map(e => e.outerHTML.slice(0, 120))"""
        assert seen.script(nameless) == []


class TestStrangeInput:
    def test_hostile_names_stay_text(self, visit: Open, tmp_path: Path) -> None:
        name = "</script><img src=x onerror=alert(1)>\0‮gpj.<!--.mp4"
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 5, walking, source=name, command=name, model=name)
        seen = visit(report(journal))
        assert seen.text("h1") == name.replace("\0", "\\x00").replace("‮", "\\u202e")
        assert seen.script("document.images.length") == 0

    def test_the_policy_forbids_everything_else(self, walk_page: Path) -> None:
        text = walk_page.read_text()
        policy = text.partition('Content-Security-Policy" content="')[2].partition('"')[0]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy and "http" not in policy

    def test_without_the_video(self, visit: Open, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 20, walking)
        seen = visit(report(journal, tmp_path / "gone.mp4"))
        assert "gone.mp4 is not there" in seen.text("#film-note")
        seen.page.keyboard.press("End")
        seen.shown(19)

    def test_a_linked_video_is_played_from_its_place_and_missed_when_it_is_gone(
        self, visit: Open, media: Path, tmp_path: Path
    ) -> None:
        video = numbered_copy(media / "walk.mp4", tmp_path / "in put.mp4")
        page = report(journal_of(video, tmp_path / "in.poses.jsonl"), video, embed=0)
        seen = visit(page)
        assert "keep in put.mp4 where it is" in seen.text("#film-note")
        seen.page.keyboard.press("End")
        seen.shown(134)
        video.unlink()
        gone = visit(page, missing_files=True)
        assert "not where it was" in gone.text("#film-note")
        gone.page.keyboard.press("End")
        gone.shown(134)

    def test_nobody(self, visit: Open, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 20, lambda _: Poses.empty())
        seen = visit(report(journal))
        assert "Nobody was found" in seen.text("#warnings")

    def test_no_frames(self, visit: Open, tmp_path: Path) -> None:
        journal = made_up_journal(tmp_path / "a.poses.jsonl", 0, walking)
        seen = visit(report(journal))
        assert "no frames" in seen.text("#failure")

    def test_sixty_people(self, visit: Open, tmp_path: Path) -> None:
        def crowd(frame: int) -> Poses:
            grid = [(column * 12 + frame / 9, row * 10) for row in range(6) for column in range(10)]
            boxes = [[left, top, left + 5, top + 9] for left, top in grid]
            people = standing([0] * 60, 0, 9)
            corners = Boxes(boxes, people.boxes.score).xyxy  # type: ignore[arg-type]
            return Poses(Boxes(corners, people.boxes.score), people.xy + corners[:, None, :2], people.score)

        seen = visit(report(made_up_journal(tmp_path / "a.poses.jsonl", 40, crowd)))
        assert seen.page.locator(".lane").count() == 50
        seen.page.click("#more-lanes")
        assert seen.page.locator(".lane").count() >= 60

    def test_a_hundred_thousand_frames_open_and_every_one_is_found(self, visit: Open, tmp_path: Path) -> None:
        page = tmp_path / "long.html"
        overview = [[60.0 * minute, 1800, 1800, 0.7, minute / 600] for minute in range(600)]
        columns = long_columns(100_000)
        columns = replace(columns, time_s=columns.time_s + 15_000)
        content = Content(columns, COCO, {"source": "long.mp4"}, "long", False, overview=overview)
        page.write_bytes(page_of(content))
        seen = visit(page)
        frames = seen.script(
            """() => { const all = []; for (const at of [99999, 12, 54321, 77, 5000]) {
              scrub.value = at; scrub.dispatchEvent(new Event('input'));
              all.push(Number(document.documentElement.dataset.shown)); } return all; }"""
        )
        assert seen.text("#clock") == "4:12:46.67 · 5000"
        assert "10.0 hours long" in seen.text("#warnings")
        assert "600 minutes; most trouble at 9:59:00.00" in seen.page.get_attribute("#overview-canvas", "aria-label")
        assert frames == [99999, 12, 54321, 77, 5000]


def test_the_head_is_json(walk_page: Path) -> None:
    text = walk_page.read_text().partition('id="head">')[2].partition("</script>")[0]
    head = json.loads(text)
    assert head["frames"] == 100 and head["numbers"]["ids"] == 2


@pytest.mark.slow
class TestLooks:
    """Screenshots, as small as stamps, against those that somebody has looked at; other fonts may wrap lines elsewhere.

    ``TPOSE_NEW_PICTURES=1 pytest -m slow tests/report`` replaces them; look at them before they are committed.
    """

    KEPT = REPOSITORY / "tests" / "golden" / "report"
    STAMP_WIDTH = 60
    MAX_DIFFERENCE = 8.0
    """Mean difference in grey levels of 255: another font makes 2 to 3, a panel that is gone or moved more than 10."""

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1440, 768, 390])
    def test_looks_as_it_did(self, visit: Open, walk_page: Path, width: int, scheme: str) -> None:
        seen = visit(walk_page, "#t=2", width=width, scheme=scheme)
        seen.page.wait_for_timeout(300)
        picture = cv2.imdecode(np.frombuffer(seen.page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        height = round(picture.shape[0] * self.STAMP_WIDTH / picture.shape[1])
        stamp = cv2.resize(picture, (self.STAMP_WIDTH, height), interpolation=cv2.INTER_AREA)
        kept = self.KEPT / f"{width}-{scheme}.png"
        if os.environ.get("TPOSE_NEW_PICTURES"):
            kept.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(kept), stamp)
        before = cv2.imread(str(kept))
        assert before.shape == stamp.shape
        assert np.abs(before.astype(float) - stamp).mean() < self.MAX_DIFFERENCE
