"""The page that a run makes of itself, with its own attention or with computed one, and what is wrong with some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.support.runs import journal_of, numbered_copy
from tposecli.cli.main import cli


def tpose(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def head_of(page: Path) -> dict[str, Any]:
    """Return the page's data, but for the arrays."""
    text = page.read_text().partition('id="head">')[2].partition("</script>")[0]
    return dict(json.loads(text))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run over a fifth of a second, its attention and its page."""
    from tests import REPOSITORY

    folder = tmp_path_factory.mktemp("run")
    clip = REPOSITORY / "sample_media" / "walk.mp4"
    options = ["--end", "0.2", "--device", "cpu", "--attention-keypoints", "all", "--attention-layer", "all", "-q"]
    outputs = ["--json", folder / "a.json", "--attention", folder / "a.npz", "--report", folder / "a.html"]
    done = tpose("video", clip, *outputs, *options)
    assert done.exit_code == 0, done.output
    return folder


class TestRun:
    def test_the_page_has_the_attention_of_the_run(self, run: Path) -> None:
        head = head_of(run / "a.html")
        assert head["frames"] == 6 and head["film"]["kind"] == "embedded"
        with np.load(run / "a.npz") as arrays:
            assert head["why"]["grid"] == list(arrays["maps"].shape[-2:])
            assert head["why"]["layers"] == arrays["layers"].tolist()
        assert "from a.npz" in head["why"]["note"]
        assert np.shape(head["why"]["matrix"]) == (17, 17)

    def test_attention_is_computed_where_there_is_none(self, run: Path, media: Path) -> None:
        done = tpose("report", run / "a.json.poses.jsonl", "-i", media / "walk.mp4", "-o", run / "b.html")
        assert done.exit_code == 0, done.output
        head = head_of(run / "b.html")
        assert head["why"]["model"] == "transpose-s-a4" and head["why"]["modes"] == ["dependency", "influence"]
        assert head["numbers"] == head_of(run / "a.html")["numbers"]
        leans = head["why"]["people"][0]["leans"]
        assert all(len(set(three)) == 3 and joint not in three for joint, three in enumerate(leans))

    def test_attention_of_another_run_is_a_sentence(self, run: Path, media: Path, tmp_path: Path) -> None:
        video = numbered_copy(media / "portrait.mp4", tmp_path / "in.mp4")
        journal = journal_of(video, tmp_path / "in.poses.jsonl")
        done = tpose("report", journal, "-i", video, "-o", tmp_path / "a.html", "--attention", run / "a.npz")
        assert done.exit_code == 0, done.output
        head = head_of(tmp_path / "a.html")
        assert head["why"] is None and "is of another run" in head["why_note"]

    def test_what_is_no_attention_is_a_sentence(self, run: Path, media: Path) -> None:
        (run / "no.npz").write_text("nothing")
        arguments = ["-i", media / "walk.mp4", "-o", run / "c.html", "--attention", run / "no.npz"]
        done = tpose("report", run / "a.json.poses.jsonl", *arguments)
        assert done.exit_code == 0, done.output
        assert "no.npz cannot be read" in head_of(run / "c.html")["why_note"]

    def test_attention_of_the_run_needs_no_video(self, run: Path) -> None:
        journal = run / "a.json.poses.jsonl"
        assert tpose("report", journal, "-o", run / "d.html", "--attention", run / "a.npz").exit_code == 0
        assert head_of(run / "d.html")["why"]["people"]
        assert tpose("report", journal, "-o", run / "e.html").exit_code == 0
        assert "which are not there" in head_of(run / "e.html")["why_note"]

    def test_photos_are_part_of_the_page(self, run: Path, media: Path) -> None:
        photos = sorted((media / "stills").glob("*.jpg"))[:2]
        done = tpose("images", *photos, "--json", run / "p.json", "--report", run / "p.html", "-q", "--device", "cpu")
        assert done.exit_code == 0, done.output
        head = head_of(run / "p.html")
        assert head["stills"] and head["names"] == [photo.name for photo in photos]
        assert len(head["photos"]) == 2 and min(head["photos"]) > 1000


class TestMistakes:
    def test_several_videos_need_a_folder(self, media: Path, tmp_path: Path) -> None:
        clips = [media / "walk.mp4", media / "portrait.mp4"]
        done = tpose("video", *clips, "--report", tmp_path / "a.html", "--json", f"{tmp_path}/")
        assert done.exit_code == 2 and "name a folder" in done.output

    def test_a_page_that_exists_is_refused_before_the_run(self, media: Path, tmp_path: Path) -> None:
        (tmp_path / "a.html").write_text("mine")
        done = tpose("video", media / "walk.mp4", "--json", tmp_path / "a.json", "--report", tmp_path / "a.html")
        assert done.exit_code == 1 or isinstance(done.exception, Exception)
        assert "already exists" in str(done.exception)
        assert not (tmp_path / "a.json").exists()

    def test_a_size_that_is_none(self, tmp_path: Path) -> None:
        done = tpose("report", "a.poses.jsonl", "-o", tmp_path / "a.html", "--embed", "much")
        assert done.exit_code == 2 and "is not a size" in done.output
