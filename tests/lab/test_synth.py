"""Rendered people match their ground truth, and the sample media match their description."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tposecli.cli.commands.sample_media import sample_media
from tposecli.geometry.keypoints import KEYPOINTS, MIRROR
from tposecli.lab.synth.body import body_mesh
from tposecli.lab.synth.clips import QUICK_FILM, WALK_GAIT, crossing_scene, portrait_scene, walk_scene
from tposecli.lab.synth.film import Reel, write_clip, write_jpeg
from tposecli.lab.synth.motion import Gait, Stance, sole_heights, stand
from tposecli.lab.synth.outfit import Outfit, random_outfit
from tposecli.lab.synth.poses import BASE, mirrored_pose, random_stance
from tposecli.lab.synth.raster import look_at, rasterise
from tposecli.lab.synth.rig import BONE, BONES, PARENT, Shape, pose_bones, random_shape, rest_joints
from tposecli.lab.synth.scene import Film, Person, Scene, Thing
from tposecli.lab.synth.sound import RATE, footsteps, strikes
from tposecli.lab.synth.things import box, post
from tposecli.lab.synth.training import Still, random_crop, random_scene
from tposecli.lab.synth.views import Fixed
from tposecli.utils.errors import UsageError

BARE = Film(magnify=1.0, blur=0.0, grain=0.0, vignette=0.0, shadows=False)
SIZE = (160, 200)
FRONT = Fixed(look_at(np.array([0, 1.1, 4.5]), np.array([0, 0.95, 0]), 330.0, SIZE))
GREY = np.full((SIZE[1], SIZE[0], 3), 0.5, np.float32)
K = {name: index for index, name in enumerate(KEYPOINTS)}


def standing(x: float = 0.0, z: float = 0.0, heading: float = 0.0, track_id: int = 1, name: str = "stand") -> Person:
    return Person(Shape(), Outfit(), Still(Stance(BASE[name], x, z, heading)), track_id)


def bare_scene(*people: Person, things: tuple[Thing, ...] = ()) -> Scene:
    return Scene(people, GREY, FRONT, things=things, film=BARE)


# The drawing of triangles


def test_rasterise_covers_exactly_the_pixel_centres_inside() -> None:
    points = np.array([[0, 0, 2], [10, 0, 2], [0, 10, 2]], np.float32)
    both = np.array([True])
    hits = rasterise(points, np.array([[0, 2, 1]]), both, (16, 16))
    y, x = np.divmod(np.sort(hits.pixel), 16)
    assert {(a, b) for a, b in zip(x, y, strict=True)} == {(a, b) for a in range(11) for b in range(11) if a + b <= 10}
    assert hits.depth[3, 3] == pytest.approx(2)
    assert np.isinf(hits.depth[12, 12])
    np.testing.assert_allclose(hits.weights.sum(axis=0), 1, atol=1e-5)


def test_rasterise_keeps_the_nearest_and_drops_back_faces() -> None:
    flat = np.array([[0, 0], [12, 0], [0, 12]], np.float32)
    points = np.concatenate([np.c_[flat, [4, 4, 4]], np.c_[flat, [2, 2, 2]]]).astype(np.float32)
    front, back = [0, 2, 1], [3, 4, 5]
    alone = rasterise(points, np.array([front, back]), np.zeros(2, bool), (16, 16))
    assert set(alone.triangle) == {0}
    both = rasterise(points, np.array([front, back]), np.ones(2, bool), (16, 16))
    assert set(both.triangle) == {1}


def test_interpolation_is_perspective_correct() -> None:
    camera = look_at(np.array([0.3, 1.0, 3.0]), np.array([0, 0, 0]), 100.0, (64, 64), roll=7.0)
    corners = np.array([[-1, -1, 0.5], [1.2, -0.6, -1], [0.1, 1, 0.2]], np.float32)
    hits = rasterise(camera.project(corners), np.array([[0, 1, 2]]), np.array([True]), (64, 64))
    back = camera.project((hits.weights.T @ corners).astype(np.float32))
    np.testing.assert_allclose(back[:, 0], hits.pixel % 64, atol=2e-3)
    np.testing.assert_allclose(back[:, 1], hits.pixel // 64, atol=2e-3)


def test_camera_centre_and_axes() -> None:
    camera = look_at(np.array([2.0, 1.0, 5.0]), np.array([0.5, 1.2, 0]), 300.0, (101, 81))
    seen = camera.project(np.array([[0.5, 1.2, 0], [0.5, 1.5, 0], [0.9, 1.2, 0]], np.float32))
    np.testing.assert_allclose(seen[0, :2], (50, 40), atol=1e-3)
    assert seen[1, 1] < seen[0, 1] and seen[2, 0] > seen[0, 0]


# Bodies and motion


def test_bones_keep_their_lengths(rng: np.random.Generator) -> None:
    for _ in range(20):
        shape = random_shape(rng)
        bones, rest = pose_bones(shape, random_stance(rng).angles, 30.0), rest_joints(shape)
        for bone, parent in list(enumerate(PARENT))[1:]:
            length = np.linalg.norm(bones.start[bone] - bones.start[parent])
            assert length == pytest.approx(np.linalg.norm(rest[bone] - rest[parent]), abs=1e-4)


def test_mirrored_pose_gives_mirrored_keypoints(rng: np.random.Generator) -> None:
    shape = random_shape(rng)
    angles = random_stance(rng).angles
    points = pose_bones(shape, angles).keypoints(shape)
    other = pose_bones(shape, mirrored_pose(angles)).keypoints(shape)
    np.testing.assert_allclose(other, points[list(MIRROR)] * [-1, 1, 1], atol=1e-4)


def test_mesh_weights_sum_to_one_and_its_height_is_that_of_the_shape(rng: np.random.Generator) -> None:
    for _ in range(8):
        shape = random_shape(rng)
        assert 1.5 <= shape.height <= 1.95
        mesh = body_mesh(shape, replace(random_outfit(rng), hair_style="bald", hat=False))
        np.testing.assert_allclose(mesh.weights.sum(axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
        assert (mesh.weights >= -1e-5).all() and mesh.weights.shape[1] == len(BONES)
        assert np.ptp(mesh.points[:, 1]) == pytest.approx(shape.height, rel=0.04)


@pytest.mark.parametrize("running", [False, True])
def test_feet_never_go_below_the_floor(running: bool) -> None:
    gait, shape = Gait(cadence=1.3, running=running), Shape()
    lowest = [sole_heights(stand(shape, gait.at(time_s, shape)), shape).min() for time_s in np.arange(0, 0.8, 0.03)]
    assert min(lowest) > -1e-4 and (max(lowest) > 0.02 if running else max(lowest) < 0.01)
    assert gait.speed(shape) > (2.0 if running else 1.3)


def test_standing_foot_does_not_slide() -> None:
    gait, shape = Gait(heading=30, cadence=1.0), Shape()
    times = np.arange(0.14, 0.45, 0.02)
    left = np.array([stand(shape, gait.at(time_s, shape)).start[BONE["l_foot"], [0, 2]] for time_s in times])
    assert np.linalg.norm(left - left[0], axis=1).max() < 0.08
    body = np.array([gait.place(time_s, shape) for time_s in times])
    assert np.linalg.norm(body[-1] - body[0]) > 0.3


def test_left_is_the_persons_left() -> None:
    front = bare_scene(standing()).measure().keypoints[0]
    back = bare_scene(standing(heading=180)).measure().keypoints[0]
    for joint in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert front[K[f"left_{joint}"], 0] > front[K[f"right_{joint}"], 0]
        assert back[K[f"left_{joint}"], 0] < back[K[f"right_{joint}"], 0]


def test_body_parts_are_stacked_upright() -> None:
    y = bare_scene(standing()).measure().keypoints[0][:, 1]
    order = ["left_eye", "nose", "left_shoulder", "left_elbow", "left_hip", "left_knee", "left_ankle"]
    assert all(y[K[a]] < y[K[b]] for a, b in pairwise(order))


# Truth and pixels


def person_pixels(scene: Scene) -> Any:
    """Return the (H, W) mask of pixels that differ from the image without people."""
    empty = np.uint8(0.5 * 255 + 0.5)
    return (scene.render().image != empty).any(axis=2)


@pytest.mark.parametrize("name", ["stand", "kick", "up", "squat", "dance"])
def test_box_and_area_match_the_pixels(name: str) -> None:
    scene = bare_scene(standing(name=name, heading=25))
    shot, mask = scene.render(), person_pixels(scene)
    y, x = np.nonzero(mask)
    edges = np.clip([x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5], 0, None)
    np.testing.assert_allclose(shot.boxes.xyxy[0], edges)
    assert shot.area[0] == mask.sum()
    full = shot.full_xyxy[0]
    np.testing.assert_allclose(full, shot.boxes.xyxy[0], atol=1.6)


@pytest.mark.parametrize("name", ["stand", "kick", "up", "wave", "sit", "bend", "reach"])
@pytest.mark.parametrize("heading", [0, 60, 180])
def test_visible_keypoints_lie_on_the_person(name: str, heading: float) -> None:
    scene = bare_scene(standing(name=name, heading=heading))
    near = cv2.dilate(person_pixels(scene).astype(np.uint8), np.ones((5, 5), np.uint8))
    seen = scene.measure().keypoints[0]
    for x, y, level in seen:
        assert level in (1, 2)
        assert near[round(float(y)), round(float(x))]


def test_face_is_visible_only_from_the_front() -> None:
    face = [K[name] for name in ("nose", "left_eye", "right_eye")]
    assert (bare_scene(standing()).measure().keypoints[0][face, 2] == 2).all()
    assert (bare_scene(standing(heading=180)).measure().keypoints[0][face, 2] == 1).all()
    side = bare_scene(standing(heading=90)).measure().keypoints[0]
    assert side[K["right_ear"], 2] == 2 and side[K["left_ear"], 2] == 1
    assert side[K["right_shoulder"], 2] == 2 and side[K["left_shoulder"], 2] == 1


def test_people_behind_others_are_hidden() -> None:
    counts, areas = [], []
    tall = Person(Shape(height=1.95, girth=1.3), Outfit(), Still(Stance(BASE["stand"])), 3)
    for x in (-0.7, -0.25, 0.0, 0.25, 0.7):
        shot = bare_scene(standing(x, -0.8, track_id=7), tall).measure()
        mine = int(np.flatnonzero(shot.track_id == 7)[0]) if 7 in shot.track_id else None
        counts.append(0 if mine is None else int((shot.keypoints[mine, :, 2] == 2).sum()))
        areas.append(0.0 if mine is None else float(shot.area[mine]))
    assert counts[0] >= 15 and counts[-1] >= 15
    assert counts[2] <= 5 and areas[2] < 0.12 * areas[0]
    assert counts[1] < counts[0]


def test_objects_hide_people() -> None:
    wall = box((0.0, 0.0, 0.8), (1.2, 0.75, 0.1), 0.0, (0.5, 0.4, 0.3))
    seen = bare_scene(standing(), things=(wall,)).measure().keypoints[0]
    assert (seen[[K["left_ankle"], K["right_ankle"], K["left_knee"], K["right_knee"]], 2] == 1).all()
    assert (seen[[K["nose"], K["left_shoulder"], K["right_shoulder"]], 2] == 2).all()
    pole = post(0.0, 1.0, 0.45, 2.5, (0.4, 0.4, 0.4))
    assert len(bare_scene(standing(), things=(pole,)).measure()) == 0


def test_joints_outside_the_image_have_visibility_zero() -> None:
    shot = bare_scene(standing(x=0.85)).measure()
    outside = (shot.keypoints[0, :, 0] > SIZE[0] - 1) | (shot.keypoints[0, :, 0] < 0)
    assert outside.any() and not outside.all()
    np.testing.assert_array_equal(shot.keypoints[0, :, 2] == 0, outside)
    assert shot.boxes.xyxy[0, 2] == SIZE[0] - 1 and shot.full_xyxy[0, 2] > SIZE[0]


def test_supersampling_does_not_change_the_truth() -> None:
    plain = bare_scene(standing(heading=20))
    fine = replace(plain, film=replace(BARE, magnify=2.0))
    a, b = plain.measure(), fine.measure()
    np.testing.assert_allclose(a.keypoints[:, :, :2], b.keypoints[:, :, :2], atol=1e-3)
    np.testing.assert_allclose(a.boxes.xyxy, b.boxes.xyxy, atol=1.1)
    assert a.area[0] == pytest.approx(b.area[0], rel=0.03)


# The same again


def test_the_same_scene_gives_the_same_pixels() -> None:
    first = crossing_scene(4, 5, film=QUICK_FILM).render(1.2)
    again = crossing_scene(4, 5, film=QUICK_FILM).render(1.2)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    measured = crossing_scene(4, 5, film=QUICK_FILM).measure(1.2)
    np.testing.assert_array_equal(first.keypoints, measured.keypoints)
    np.testing.assert_array_equal(first.boxes.xyxy, measured.boxes.xyxy)
    assert (crossing_scene(6, 5, film=QUICK_FILM).render(1.2).image != first.image).any()


def test_crops_are_reproducible_and_differ_between_seeds() -> None:
    crops = [random_crop(np.random.default_rng([1, number])) for number in range(6)]
    for number, (image, keypoints, box_) in enumerate(crops):
        again = random_crop(np.random.default_rng([1, number]))
        np.testing.assert_array_equal(image, again[0])
        np.testing.assert_array_equal(keypoints, again[1])
        assert image.shape == (256, 192, 3) and image.dtype == np.uint8
        assert keypoints.shape == (17, 3) and (keypoints[:, 2] == 2).sum() >= 4
        assert (box_ >= 0).all() and (box_ <= [191, 255, 191, 255]).all() and (box_[2:] > box_[:2]).all()
        inside = keypoints[keypoints[:, 2] > 0, :2]
        assert (inside >= 0).all() and (inside <= [191, 255]).all()
    assert len({crop[0].tobytes() for crop in crops}) == 6


def test_crowd_has_the_requested_number_of_people() -> None:
    scene = random_scene(np.random.default_rng(3), (320, 240), (4, 4))
    assert [person.track_id for person in scene.people] == [1, 2, 3, 4]
    shot = scene.render()
    assert shot.image.shape == (240, 320, 3) and set(shot.track_id) <= {1, 2, 3, 4}


@pytest.mark.parametrize(("seed", "people"), [(11, 6), (12, 8)])
def test_crossings_hide_people_only_for_short_times(seed: int, people: int) -> None:
    scene = crossing_scene(seed, people, film=QUICK_FILM)
    step, wide = 0.12, 768
    unseen = dict.fromkeys(range(1, people + 1), 0.0)
    longest, hidden_joints = 0.0, 0
    for time_s in np.arange(0.6, 5.0, step):
        shot = scene.measure(float(time_s))
        hidden_joints += int((shot.keypoints[:, :, 2] == 1).sum())
        camera = scene.view.at(float(time_s))
        for person in scene.people:
            stance = person.motion.at(float(time_s), person.shape)
            x = camera.project(np.array([[stance.x, 1.0, stance.z]], np.float32))[0, 0]
            gone = person.track_id not in shot.track_id and 40 < x < wide - 40
            unseen[person.track_id] = unseen[person.track_id] + step if gone else 0.0
        longest = max(longest, *unseen.values())
    assert longest <= 1.0
    assert hidden_joints > 100


# Films and sound


def test_clip_keeps_times_rotation_and_sound(tmp_path: Path, rng: np.random.Generator) -> None:
    ticks = [0, 40, 65, 130, 200]
    upright = cv2.GaussianBlur(rng.integers(0, 255, (96, 64, 3), np.uint8), (0, 0), 6)
    frames = [(tick, np.ascontiguousarray(np.rot90(upright, 1))) for tick in ticks]
    reel = Reel(Fraction(25), Fraction(1, 1000), 10, rotation=-90)
    write_clip(tmp_path / "a.mp4", reel, frames, footsteps([0.1], 0.3))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(container.streams.audio) == 1
        read = list(container.decode(video=0))
    assert [frame.pts for frame in read] == ticks
    assert {frame.rotation for frame in read} == {-90}
    shown = np.rot90(read[0].to_ndarray(format="rgb24"), read[0].rotation // 90)
    assert np.abs(shown.astype(int) - upright).mean() < 6
    assert not (tmp_path / "a.mp4.part").exists()


def test_the_same_frames_give_the_same_file(tmp_path: Path, rng: np.random.Generator) -> None:
    noise = rng.integers(0, 255, (240, 700, 3), np.uint8)
    frames = [(index, np.ascontiguousarray(noise[:, 5 * index : 5 * index + 320])) for index in range(30)]
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", Reel(Fraction(25), Fraction(1, 25), 30), frames)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_jpeg_orientation_is_applied_by_viewers(tmp_path: Path) -> None:
    image = np.zeros((60, 40, 3), np.uint8)
    image[:20] = (250, 20, 20)
    write_jpeg(tmp_path / "a.jpg", image, orientation=6)
    shown = cv2.imread(str(tmp_path / "a.jpg"))
    assert shown.shape == (60, 40, 3) and shown[5, 20, 2] > 200 and shown[50, 20, 2] < 40
    assert cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION).shape == (40, 60, 3)


def test_footsteps_sound_at_heel_strikes() -> None:
    times = strikes(WALK_GAIT, 4.5)
    assert len(times) == 8 and np.allclose(np.diff(times), 0.5 / WALK_GAIT.cadence)
    sound = footsteps(times, 4.5)
    loud = np.abs(sound).max(axis=0)
    for time_s in times:
        at = round(time_s * RATE)
        before = loud[max(at - RATE // 10, 0) : at - 10]
        assert loud[at : at + RATE // 20].max() > 3 * (before.max() if len(before) else 0.0)


# The sample media


def truth(media: Path, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((media / f"{name}.json").read_text())
    return data


def decoded(media: Path, name: str) -> list[Any]:
    with av.open(str(media / f"{name}.mp4")) as container:
        return list(container.decode(video=0))


def test_sample_media_are_small(media: Path) -> None:
    assert sum(path.stat().st_size for path in media.rglob("*") if path.is_file()) < 6_000_000


@pytest.mark.parametrize("name", ["walk", "crossing", "portrait"])
def test_clip_and_truth_agree_on_frames(media: Path, name: str) -> None:
    frames, images = decoded(media, name), truth(media, name)["images"]
    assert [frame.pts for frame in frames] == [image["pts"] for image in images]
    assert [image["frame_index"] for image in images] == list(range(len(frames)))
    for frame, image in zip(frames, images, strict=True):
        assert float(frame.pts * frame.time_base) == pytest.approx(image["time_s"], abs=1e-6)
        size = (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)
        assert (image["width"], image["height"]) == size


@pytest.mark.parametrize("name", ["walk", "crossing", "portrait", "stills"])
def test_truth_is_a_coco_dataset(media: Path, name: str) -> None:
    data = truth(media, name)
    images = {image["id"]: image for image in data["images"]}
    assert data["categories"][0]["keypoints"] == list(KEYPOINTS) and data["categories"][0]["id"] == 1
    assert min(min(limb) for limb in data["categories"][0]["skeleton"]) == 1
    assert len({person["id"] for person in data["annotations"]}) == len(data["annotations"])
    for person in data["annotations"]:
        image = images[person["image_id"]]
        x, y, width, height = person["bbox"]
        assert x >= 0 and y >= 0 and x + width <= image["width"] and y + height <= image["height"]
        assert 0 < person["area"] <= (width + 1) * (height + 1)
        joints = np.array(person["keypoints"]).reshape(17, 3)
        assert person["num_keypoints"] == (joints[:, 2] > 0).sum() and person["iscrowd"] == 0
        assert (joints[joints[:, 2] == 0] == 0).all()


def test_walk_clip_matches_its_description(media: Path) -> None:
    with av.open(str(media / "walk.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert Fraction(video.average_rate) == Fraction(30000, 1001)
        assert video.codec_context.name == "h264" and video.codec_context.pix_fmt == "yuv420p"
        assert audio.codec_context.name == "aac" and audio.rate == RATE
        assert float(audio.duration * audio.time_base) == pytest.approx(135 * 1001 / 30000, abs=0.06)
        assert sum(1 for _ in container.decode(video=0)) == 135
    people = truth(media, "walk")["annotations"]
    assert len(people) == 135 and {person["track_id"] for person in people} == {1}
    assert min(person["bbox"][3] for person in people) > 250
    assert min(person["num_keypoints"] for person in people) == 17


def test_crossing_clip_matches_its_description(media: Path) -> None:
    data = truth(media, "crossing")
    with av.open(str(media / "crossing.mp4")) as container:
        assert Fraction(container.streams.video[0].average_rate) == 25
    assert {person["track_id"] for person in data["annotations"]} == {1, 2, 3, 4, 5}
    levels = np.array([person["keypoints"][2::3] for person in data["annotations"]])
    assert ((levels == 1).sum(axis=1) >= 13).any(), "no one is ever hidden"
    assert len(data["annotations"]) > 3.5 * len(data["images"])


def test_portrait_clip_matches_its_description(media: Path) -> None:
    frames = decoded(media, "portrait")
    gaps = np.diff([frame.pts * 1000 * frame.time_base for frame in frames]).astype(float)
    assert gaps.min() >= 20 and gaps.max() <= 60 and len(set(gaps)) > 10
    assert {frame.rotation for frame in frames} == {-90}
    assert (frames[0].width, frames[0].height) == (848, 480)


@pytest.mark.parametrize(
    ("name", "scene", "index"),
    [("walk", walk_scene, 60), ("crossing", crossing_scene, 70), ("portrait", portrait_scene, 50)],
)
def test_committed_clip_equals_what_the_code_renders(media: Path, name: str, scene: Any, index: int) -> None:
    frame, image = decoded(media, name)[index], truth(media, name)["images"][index]
    shot = scene().render(float(frame.pts * frame.time_base))
    shown = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    assert np.abs(shown.astype(int) - shot.image).mean() < 5
    people = [person for person in truth(media, name)["annotations"] if person["image_id"] == image["id"]]
    assert [person["track_id"] for person in people] == shot.track_id.tolist()
    for person, joints in zip(people, shot.keypoints, strict=True):
        told = np.array(person["keypoints"]).reshape(17, 3)
        seen = told[:, 2] > 0
        np.testing.assert_allclose(told[seen, :2], joints[seen, :2], atol=0.05)


def test_stills_match_their_description(media: Path) -> None:
    data = truth(media, "stills")
    assert 8 <= len(data["images"]) <= 12
    assert sorted(path.name for path in (media / "stills").iterdir()) == [
        Path(image["file_name"]).name for image in data["images"]
    ]
    turned = 0
    for image in data["images"]:
        shown = cv2.imread(str(media / image["file_name"]))
        assert shown.shape[:2] == (image["height"], image["width"])
        stored = cv2.imread(str(media / image["file_name"]), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        turned += stored.shape != shown.shape
        count = sum(person["image_id"] == image["id"] for person in data["annotations"])
        assert 1 <= count <= 4
    assert turned == 1


# The command


def test_command_overwrites_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "crossing.json").write_text("mine")
    result = CliRunner().invoke(sample_media, [str(tmp_path)])
    assert isinstance(result.exception, UsageError) and "--overwrite" in str(result.exception)
    assert (tmp_path / "crossing.json").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["crossing.json"]
