"""Drawn again from the journal, drawn otherwise, and what is hidden."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.drawing.labels import PALETTE, id_colour
from tposecli.drawing.privacy import blur_heads, head_circles
from tposecli.drawing.skeleton_drawer import SkeletonDrawer
from tposecli.drawing.style import DrawStyle
from tposecli.drawing.trails import Trails
from tposecli.formats.journal.records import as_line
from tposecli.geometry.keypoints import KEYPOINTS
from tposecli.pipeline.job import DrawingSettings, FileSettings, Outputs
from tposecli.pipeline.outputs import SinkFactory
from tposecli.types import Boxes, Frame, Image, Poses, Result
from tposecli.utils.errors import InputError, UsageError

STYLE = DrawStyle()
FIGURE = np.array(
    [
        [0.5, 0.1],
        *([0.53, 0.07], [0.47, 0.07], [0.57, 0.08], [0.43, 0.08]),
        *([0.65, 0.22], [0.35, 0.22], [0.75, 0.38], [0.25, 0.38], [0.85, 0.52], [0.15, 0.52]),
        *([0.6, 0.55], [0.4, 0.55], [0.62, 0.75], [0.38, 0.75], [0.64, 0.95], [0.36, 0.95]),
    ]
)
"""A standing person who faces the camera, in a unit box; their left is on the right of the picture."""
WRIST = KEYPOINTS.index("left_wrist")


def tpose(*arguments: object) -> Ran:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def person(left: float = 150, top: float = 20, height: float = 440, score: float = 0.9, track: int = 1) -> Poses:
    box = np.array([[left, top, left + height / 2, top + height]])
    xy = (FIGURE * (height / 2, height) + (left, top))[None]
    return Poses(Boxes(box, np.ones(1)), xy, np.full((1, 17), score), np.array([track]))


def canvas(height: int = 480, width: int = 640, grey: int = 100) -> Image:
    return np.full((height, width, 3), grey, np.uint8)


def noise(height: int = 480, width: int = 640) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def at(image: Image, xy: np.ndarray) -> list[int]:
    x, y = np.rint(xy).astype(int)
    return image[y, x].tolist()


def limb(poses: Poses, first: str, second: str) -> np.ndarray:
    return poses.xy[0, [KEYPOINTS.index(first), KEYPOINTS.index(second)]].mean(axis=0)


class TestStyles:
    def test_joints_only(self) -> None:
        image, poses = SkeletonDrawer(DrawStyle(limbs=False)).draw(canvas(), person()), person()
        assert at(image, poses.xy[0, WRIST]) != [100, 100, 100]
        for ends in (("left_hip", "left_knee"), ("left_shoulder", "right_shoulder"), ("right_elbow", "right_wrist")):
            assert at(image, limb(poses, *ends)) == [100, 100, 100]

    def test_colours_by_track_tell_people_and_sides_apart(self) -> None:
        for track in (1, 2, 9):
            poses = person(track=track)
            image = SkeletonDrawer(DrawStyle(colour_by="track")).draw(canvas(), poses)
            right, left = (at(image, limb(poses, f"{side}_hip", f"{side}_knee")) for side in ("right", "left"))
            assert right == list(id_colour(track))
            assert sum(left) > sum(right)
        assert id_colour(9) == PALETTE[0]

    def test_people_without_a_track_get_colours_in_their_order(self) -> None:
        two = [person(20, 20, 300, track=-1), person(350, 20, 440, track=-1)]
        poses = Poses(
            Boxes(np.concatenate([p.boxes.xyxy for p in two]), np.ones(2)),
            np.concatenate([p.xy for p in two]),
            np.concatenate([p.score for p in two]),
        )
        image = SkeletonDrawer(DrawStyle(colour_by="track")).draw(canvas(), poses)
        for colour, one in zip(PALETTE, two, strict=False):
            assert at(image, limb(one, "right_hip", "right_knee")) == list(colour)

    def test_black_background_leaves_nothing_of_the_picture(self) -> None:
        one, other = (
            SkeletonDrawer(DrawStyle(background="black")).draw(image, person()) for image in (canvas(), noise())
        )
        np.testing.assert_array_equal(one, other)
        assert one[0, 0].tolist() == [0, 0, 0]
        assert at(one, limb(person(), "left_knee", "left_ankle")) == list(STYLE.left)

    def test_blurred_background_keeps_colours_but_no_detail(self) -> None:
        picture = noise()
        picture[:, :320] //= 4
        image = SkeletonDrawer(DrawStyle(background="blur")).draw(picture.copy(), Poses.empty()).astype(float)
        halves = [image[:, part].mean() - picture[:, part].mean() for part in (slice(0, 300), slice(340, 640))]
        assert np.abs(halves).max() < 4
        assert np.abs(np.diff(image, axis=1)).mean() < 0.03 * np.abs(np.diff(picture.astype(float), axis=1)).mean()

    @pytest.mark.parametrize("size", [(1, 1), (20, 50), (37, 2000)])
    def test_backgrounds_of_any_size(self, size: tuple[int, int]) -> None:
        image = noise(*size)
        assert SkeletonDrawer(DrawStyle(background="blur")).draw(image, person()) is image

    def test_line_width(self) -> None:
        thin, thick = (
            (SkeletonDrawer(DrawStyle(width=width)).draw(canvas(), person()) != 100).any(axis=2).sum()
            for width in (1.0, 2.0)
        )
        assert 1.6 * thin < thick < 2.4 * thin

    def test_labels_stand_above_the_head(self) -> None:
        plain = SkeletonDrawer().draw(canvas(), person(top=60, height=400))
        for style in (DrawStyle(scores=True), DrawStyle(ids=True), DrawStyle(ids=True, scores=True)):
            labelled = SkeletonDrawer(style).draw(canvas(), person(top=60, height=400))
            rows, columns = np.nonzero((labelled != plain).any(axis=2))
            assert rows.max() < 60 + 0.1 * 400
            assert abs(columns.mean() - 250) < 8

    def test_names_of_joints_do_not_cover_one_another(self) -> None:
        image, poses = SkeletonDrawer(DrawStyle(names=True)).draw(canvas(), person()), person()
        difference = (image != SkeletonDrawer().draw(canvas(), person())).any(axis=2).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(difference)
        beside = poses.xy[0, 5:] + (16, 0)
        assert all(difference[round(float(y)), round(float(x))] for x, y in beside)
        assert all(boxes[label][cv2.CC_STAT_HEIGHT] <= 13 for label in range(1, count))

    @pytest.mark.parametrize("field", ["width", "trail_s"])
    def test_nonsense_is_refused(self, field: str) -> None:
        with pytest.raises(ValueError, match=field):
            DrawStyle(**{field: 0.0})  # type: ignore[arg-type]


class TestTrails:
    def moved(self, x: float, track: int = 1, score: float = 0.9) -> Poses:
        return person(x, 20, 300, score, track)

    def trail(self, draw: SkeletonDrawer, times: list[float], last: float = 200) -> Image:
        """The frame after a person walked to x = ``last`` through all these times."""
        image = canvas()
        for time_s, x in zip(times, np.linspace(0, last, len(times)), strict=True):
            image = draw.draw(canvas(), self.moved(x), time_s)
        return image

    def test_a_trail_leads_to_where_the_joint_was_and_fades(self) -> None:
        draw = SkeletonDrawer(DrawStyle(trails=(WRIST,), trail_s=1.0))
        image = self.trail(draw, [index / 10 for index in range(11)])
        row = round(float(self.moved(0).xy[0, WRIST, 1]))
        now = float(self.moved(200).xy[0, WRIST, 0])
        change = np.abs(image[row].astype(int) - 100).sum(axis=1)
        assert change[round(now) - 30] > change[round(now) - 100] > change[round(now) - 170] > 0
        assert not change[: round(now) - 210].any()

    def test_the_trail_is_as_long_as_asked_whatever_the_frame_rate(self) -> None:
        ends, plain = [], SkeletonDrawer().draw(canvas(), self.moved(200))
        for rate in (5, 50):
            draw = SkeletonDrawer(DrawStyle(trails=(WRIST,), trail_s=1.0))
            image = self.trail(draw, [index / rate for index in range(2 * rate + 1)])
            row = round(float(self.moved(0).xy[0, WRIST, 1]))
            ends.append(np.flatnonzero((image != plain)[row].any(axis=1)).min())
        now = float(self.moved(200).xy[0, WRIST, 0])
        assert np.abs(np.array(ends) - (now - 100)).max() < 6

    def test_people_without_a_track_and_unseen_joints_leave_none(self) -> None:
        plain = SkeletonDrawer().draw(canvas(), self.moved(200))
        for poses in ([self.moved(x, track=-1) for x in (0, 200)], [self.moved(0, score=0.1), self.moved(200)]):
            draw = SkeletonDrawer(DrawStyle(trails=(WRIST,)))
            draw.draw(canvas(), poses[0], 0.0)
            np.testing.assert_array_equal(draw.draw(canvas(), poses[1], 0.1), plain)

    def test_nothing_is_kept_of_those_who_left_or_when_time_runs_back(self) -> None:
        trails = Trails((WRIST,), 1.0, 0.2)
        trails.update(self.moved(0), 0.0)
        trails.update(Poses.empty(), 1.5)
        assert not trails._points
        trails.update(self.moved(0), 2.0)
        trails.update(self.moved(300), 0.5)
        assert len(trails._points[1]) == 1

    def test_without_a_time_there_is_no_trail(self) -> None:
        draw = SkeletonDrawer(DrawStyle(trails=(WRIST,)))
        draw.draw(canvas(), self.moved(0))
        image = draw.draw(canvas(), self.moved(200))
        np.testing.assert_array_equal(image, SkeletonDrawer().draw(canvas(), self.moved(200)))


class TestHeads:
    @pytest.mark.parametrize("hidden", [(), (0, 1, 2, 3, 4), (0, 1, 2), tuple(range(17))])
    def test_a_head_is_found_whatever_is_seen_of_it(self, hidden: tuple[int, ...]) -> None:
        poses = person()
        poses.score[0, list(hidden)] = 0.01
        centres, radii = head_circles(poses)
        face = poses.xy[0, :5]
        assert (np.linalg.norm(face - centres[0], axis=1) < radii[0]).all()
        assert radii[0] < 0.2 * 440

    def test_nothing_is_left_of_a_head_and_nothing_else_is_touched(self) -> None:
        picture, poses = noise(), person()
        image = picture.copy()
        blur_heads(image, poses)
        (centre,), (radius,) = head_circles(poses)
        rows, columns = np.indices(image.shape[:2])
        away = np.hypot(columns - centre[0], rows - centre[1])
        np.testing.assert_array_equal(image[away > radius + 1.5], picture[away > radius + 1.5])
        inside = image[away < radius - 2].astype(float)
        assert inside.std() < 0.25 * picture[away < radius - 2].std()

    def test_heads_outside_and_numbers_that_are_none_do_no_harm(self) -> None:
        image = canvas()
        blur_heads(image, person(left=5000))
        blur_heads(image, person(left=-400))
        broken = person()
        broken.xy[:] = np.nan
        blur_heads(image, broken)
        blur_heads(image, Poses.empty())
        assert (image == 100).all()

    def test_they_are_blurred_before_any_sink_sees_the_frame(self, tmp_path: Path) -> None:
        drawing = DrawingSettings(blur_heads=True)
        factory = SinkFactory(Outputs(tmp_path), drawing, FileSettings(), drawing.attention, stride=8)
        picture, poses = noise(), person()
        (result,) = factory.prepare([Result(Frame(picture.copy(), 0, name="one.png"), poses)])
        hidden = picture.copy()
        blur_heads(hidden, poses)
        assert (hidden != picture).any() and np.array_equal(result.frame.image, hidden)
        for sink in factory.open({}):
            sink.write(result)
        written = cv2.imread(str(tmp_path / "one.png"))
        eye = np.rint(poses.xy[0, 1] + (6, 6)).astype(int)
        expected = picture.copy()
        blur_heads(expected, poses)
        assert written[eye[1], eye[0], ::-1].tolist() == SkeletonDrawer().draw(expected, poses)[eye[1], eye[0]].tolist()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run, its video and its journal."""
    folder, media = tmp_path_factory.mktemp("run"), REPOSITORY / "sample_media"
    window = ("--start", "0.5", "--end", "1.0", "--stride", "2")
    detector = ("--detector", f"boxes:{media / 'walk.json'}")
    ran = tpose("video", media / "walk.mp4", "-o", folder / "o.mp4", "--json", folder / "o.json", *detector, *window)
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    return folder


def frames(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def streams(path: Path) -> list[tuple[str, list[tuple[int | None, bytes]]]]:
    """Every packet with its time, by stream."""
    with av.open(str(path)) as container:
        kinds = [stream.type for stream in container.streams]
        packets = [(p.stream.index, p.pts, bytes(p)) for p in container.demux() if p.size]
    return [(kind, [(pts, data) for i, pts, data in packets if i == index]) for index, kind in enumerate(kinds)]


class TestRender:
    def test_the_same_options_give_the_same_video(self, run: Path, media: Path, tmp_path: Path) -> None:
        journal = run / "o.mp4.poses.jsonl"
        named = ("-o", tmp_path / "o.mp4", "--json", tmp_path / "o.json")
        ran = tpose("render", journal, "-i", media / "walk.mp4", *named, "-q")
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        assert streams(tmp_path / "o.mp4") == streams(run / "o.mp4")
        first, second = (json.loads((folder / "o.json").read_text()) for folder in (tmp_path, run))
        assert first | {"info": 0} == second | {"info": 0}
        assert {path.name for path in tmp_path.iterdir()} == {"o.mp4", "o.json"}

    def test_another_drawing(self, run: Path, media: Path, tmp_path: Path) -> None:
        options = ("--background", "black", "--trails", "left-wrist", "--colour-by", "track", "--labels", "id,score")
        ran = tpose("render", run / "o.mp4.poses.jsonl", "-i", media / "walk.mp4", "-o", tmp_path / "o.mp4", *options)
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        assert "8 frames" in ran.stderr
        pictures = frames(tmp_path / "o.mp4")
        assert len(pictures) == 8
        assert np.mean([(picture < 24).all(axis=2).mean() for picture in pictures]) > 0.9
        assert max(picture.max() for picture in pictures) > 150

    @pytest.mark.parametrize(("more", "reason"), [((), "not the file"), (("--another-video",), "pixels")])
    def test_other_videos_are_refused(
        self, run: Path, media: Path, tmp_path: Path, more: tuple[str, ...], reason: str
    ) -> None:
        journal = run / "o.mp4.poses.jsonl"
        ran = tpose("render", journal, "-i", media / "portrait.mp4", "-o", tmp_path / "o.mp4", *more)
        assert isinstance(ran.exception, InputError)
        assert reason in str(ran.exception)
        assert list(tmp_path.iterdir()) == []

    def test_the_same_frames_in_another_file_are_accepted(self, run: Path, tmp_path: Path, media: Path) -> None:
        copy = tmp_path / "copy.mp4"
        copy.write_bytes((media / "walk.mp4").read_bytes() + b"\0" * 64)
        arguments = ("render", run / "o.mp4.poses.jsonl", "-i", copy, "-o", tmp_path / "o.mp4")
        assert "not the file" in str(tpose(*arguments).exception)
        assert tpose(*arguments, "--another-video").exit_code == 0
        assert len(frames(tmp_path / "o.mp4")) == 8

    @pytest.mark.parametrize(
        ("field", "value", "reason"), [("time_s", 9.0, "expected 9.000 s"), ("frame", 900, "missing or unreadable")]
    )
    def test_frames_that_do_not_fit_are_named(
        self, run: Path, media: Path, tmp_path: Path, field: str, value: float, reason: str
    ) -> None:
        lines = (run / "o.mp4.poses.jsonl").read_text().splitlines()
        entry = json.loads(lines[-2]) | {field: value}  # The last frame; the run's ending follows.
        del entry["crc32"]
        lines[-2] = as_line(entry, checksum=True).decode().strip()
        (tmp_path / "o.poses.jsonl").write_text("\n".join([*lines, ""]))
        ran = tpose("render", tmp_path / "o.poses.jsonl", "-i", media / "walk.mp4", "-o", tmp_path / "o.mp4")
        assert isinstance(ran.exception, InputError)
        assert reason in str(ran.exception)
        assert not (tmp_path / "o.mp4").exists()

    def test_the_video_itself_is_never_written_over(self, run: Path, media: Path) -> None:
        video, journal = media / "walk.mp4", run / "o.mp4.poses.jsonl"
        ran = tpose("render", journal, "-i", video, "-o", video, "--overwrite")
        assert isinstance(ran.exception, UsageError)
        assert "is an input" in str(ran.exception)

    def test_pictures(self, tmp_path: Path, media: Path) -> None:
        some = sorted((media / "stills").glob("*.jpg"))[:2]
        ran = tpose(
            "images", *some, "-o", tmp_path / "a", "--json", tmp_path / "a.json", "--detector", "full-frame", "-q"
        )
        assert ran.exit_code == 0, ran.output + str(ran.exception)
        journal, both = tmp_path / "a.poses.jsonl", ("-i", some[0], "-i", some[1])
        assert tpose("render", journal, *both, "-o", tmp_path / "b", "--json", tmp_path / "b.json").exit_code == 0
        for path in some:
            assert (tmp_path / "a" / path.name).read_bytes() == (tmp_path / "b" / path.name).read_bytes()
        first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
        assert first | {"info": 0} == second | {"info": 0}
        ran = tpose("render", journal, "-i", some[0], "-o", tmp_path / "c")
        assert some[1].name in str(ran.exception)

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--trails", "left_rist", "did you mean left_wrist"),
            ("--labels", "scores", "did you mean score"),
            ("--style", "stick", "skeleton"),
            ("--colour-by", "person", "track"),
            ("--line-width", "0", "0<x"),
            ("--trail-second", "1", "--trail-seconds"),
        ],
    )
    def test_usage_errors_suggest_the_nearest(self, run: Path, option: str, value: str, message: str) -> None:
        ran = tpose("render", run / "o.mp4.poses.jsonl", "-i", "walk.mp4", "-o", "o.mp4", option, value)
        assert ran.exit_code == 2
        assert message in ran.output
