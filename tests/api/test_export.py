"""Tables, files and images of results, read back."""

from __future__ import annotations

import csv
import json
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from tposecli import InputError, Pose, UsageError, draw, open_video, plot, save, to_dataframe
from tposecli.types import Flag


@pytest.fixture(scope="module")
def pose() -> Pose:
    return Pose("transpose-s-a4", detector="bundled")


def test_a_table_has_the_rows_of_the_csv(pose: Pose, media: Path, tmp_path: Path) -> None:
    results = list(pose(open_video(media / "walk.mp4", end_s=0.2)))
    table = to_dataframe(results)
    save(results, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(table.columns) == list(rows[0]) and len(table) == len(rows) == 6 * 17
    assert table["x"].to_numpy() == pytest.approx([float(row["x"]) for row in rows], abs=1e-4)
    assert table["joint"].astype(str).tolist() == [row["joint"] for row in rows]
    assert table["track"].tolist() == [1] * len(rows) and set(table["flag"]) <= set(map(int, Flag.__members__.values()))
    assert str(table.dtypes["track"]) == "Int64" and str(table.dtypes["joint"]) == "category"


def test_images_given_have_their_names_and_nobody_a_row(pose: Pose, media: Path) -> None:
    photo = sorted((media / "stills").iterdir())[0]
    table = to_dataframe(pose([photo, np.zeros((60, 80, 3), np.uint8)]))
    assert list(dict.fromkeys(table["name"])) == [photo.name, "image_000001"]
    empty = table[table["name"] == "image_000001"]
    assert len(empty) == 1 and empty[["x", "track", "joint"]].isna().all(axis=None)
    assert len(to_dataframe(pose([]))) == 0
    with pytest.raises(TypeError, match="expected results of"):
        to_dataframe([photo])  # type: ignore[list-item]


def test_without_pandas_the_error_says_what_to_install(
    pose: Pose, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'tposecli\[pandas\]'"):
        to_dataframe([])


def test_one_pass_writes_video_and_poses(pose: Pose, media: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("o.mp4", "o.json", "o.csv", "o.npz", "o.mmpose.json")]
    save(pose(open_video(media / "portrait.mp4", end_s=0.5)), *paths)
    document = json.loads(paths[1].read_text())
    with open_video(paths[0]) as video:
        frames = len(list(video))
        assert video.side_streams() is not None
    assert frames == len(document["images"]) > 5
    assert document["info"]["model"] == "transpose-s-a4"
    with pytest.raises(UsageError, match="exists"):
        save(pose(open_video(media / "walk.mp4", end_s=0.1)), tmp_path / "o.csv")
    save(pose(open_video(media / "walk.mp4", end_s=0.1)), tmp_path / "o.csv", overwrite=True)


def test_arrays_with_a_rate_become_a_video(pose: Pose, media: Path, tmp_path: Path) -> None:
    with open_video(media / "walk.mp4", end_s=0.3) as video:
        images = [frame.image for frame in video]
    save(pose(images, fps=12), tmp_path / "o.mp4")
    with open_video(tmp_path / "o.mp4") as video:
        assert video.info.fps == 12 and len(list(video)) == len(images)


def test_images_given_into_a_folder_and_into_a_file(pose: Pose, media: Path, tmp_path: Path) -> None:
    stills = sorted((media / "stills").iterdir())[:3]
    results = list(pose(stills))
    save(results[1:], tmp_path / "drawn", tmp_path / "o.json")
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [path.name for path in stills[1:]]
    document = json.loads((tmp_path / "o.json").read_text())
    assert [image["file_name"] for image in document["images"]] == [path.name for path in stills[1:]]
    people = {annotation["image_id"] for annotation in document["annotations"]}
    assert people <= {image["id"] for image in document["images"]}
    original = results[0].frame.image.copy()
    save(results[0], tmp_path / "one.png")
    written = cv2.imread(str(tmp_path / "one.png"))
    assert written is not None and np.array_equal(written[:, :, ::-1], draw(results[0]))
    assert np.array_equal(results[0].frame.image, original)


def test_what_cannot_be_saved_is_refused_and_leaves_nothing(pose: Pose, media: Path, tmp_path: Path) -> None:
    results = list(islice(pose(media / "walk.mp4"), 2))
    with pytest.raises(UsageError, match="a video is written from what"):
        save(results, tmp_path / "o.mp4")
    with pytest.raises(UsageError, match="no format has this ending"):
        save(results, tmp_path / "o.fbx")
    with pytest.raises(UsageError, match="same format"):
        save(results, tmp_path / "a.csv", tmp_path / "b.csv")
    with pytest.raises(UsageError, match="nothing to write"):
        save(results)
    with pytest.raises(ValueError, match="no results"):
        save([], tmp_path / "o.csv")
    with pytest.raises(ValueError, match="no results"):
        save(pose([]), tmp_path / "o.csv")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError):
        save(pose(broken), tmp_path / "o.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jpg"]


def test_drawing_and_plotting(pose: Pose, media: Path) -> None:
    from matplotlib.figure import Figure

    photo = sorted((media / "stills").iterdir())[0]
    result = Pose("transpose-s-a4", detector="bundled", attention=True).image(photo)
    before = result.frame.image.copy()
    drawn = draw(result)
    assert drawn.shape == before.shape and not np.array_equal(drawn, before)
    axes = plot(result, Figure().add_subplot())
    assert np.array_equal(axes.images[0].get_array(), drawn) and axes.get_title() == photo.name
    explained = plot(result, Figure().add_subplot(), attention="left_wrist")
    assert not np.array_equal(explained.images[0].get_array(), drawn)
    assert np.array_equal(result.frame.image, before)
    with pytest.raises(ValueError, match="no keypoint 'tail'"):
        plot(result, Figure().add_subplot(), attention="tail")
    with pytest.raises(ValueError, match="attention=True"):
        plot(pose.image(photo), Figure().add_subplot(), attention=0)
