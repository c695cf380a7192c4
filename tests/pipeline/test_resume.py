"""An interrupted run goes on where it stopped, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests import REPOSITORY
from tests.support.launcher import Launcher, Run, launching, lines_of, wait_for
from tposecli.formats.journal.journal import read_journal
from tposecli.formats.journal.records import as_line

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the launcher forks")

FRAMES, GROUP = 30, 8
SEED = 20211010


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launching(tmp_path_factory.mktemp("said")) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def clip() -> list[str]:
    """A second of a person who walks, and who is where."""
    media = REPOSITORY / "sample_media"
    return [
        "video",
        f"{media}/walk.mp4",
        "--end",
        "1",
        "--detector",
        f"boxes:{media}/walk.json",
        "--precision",
        "fp32",
        "--backend",
        "torch",
        "--threads",
        "2",
        "-q",
    ]


def outputs(folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    return ["-o", f"{folder}/out.mp4", "--json", f"{folder}/out.json", "--csv", f"{folder}/out.csv"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher, clip: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    launcher.run(*clip, *outputs(folder))
    return folder


def pictures(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        return [(int(frame.pts or 0), frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]


def without(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in names}


def assert_equal(folder: Path, undisturbed: Path) -> None:
    """Every output is there, nothing else, and all say the same."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in undisturbed.iterdir())
    mine, theirs = (json.loads((place / "out.json").read_text()) for place in (folder, undisturbed))
    mine["info"], theirs["info"] = without(mine["info"], "command"), without(theirs["info"], "command")
    assert mine == theirs
    assert (folder / "out.csv").read_bytes() == (undisturbed / "out.csv").read_bytes()
    assert pictures(folder / "out.mp4") == pictures(undisturbed / "out.mp4")
    ours, others = (place / "out.mp4.poses.jsonl" for place in (folder, undisturbed))
    assert ours.read_bytes().splitlines()[1:-1] == others.read_bytes().splitlines()[1:-1]
    ends = [read_journal(path).end() for path in (ours, others)]
    assert ends[0]["options"] == ends[1]["options"] and ends[0]["files"].keys() == ends[1]["files"].keys()
    headers = [without(dict(read_journal(path).header), "command", "outputs") for path in (ours, others)]
    assert headers[0] == headers[1]
    assert headers[0]["complete"] is True


def kill_at_random(launcher: Launcher, words: list[str], journal: Path, chance: random.Random) -> int:
    """Start, kill at any moment from the first import to the last frame; the exit status."""
    lines = min(lines_of(journal) + chance.randint(0, 2 * GROUP), FRAMES + 1)
    run = launcher.start(*words)
    wait_for(journal, lines)
    time.sleep(chance.uniform(0, 0.3))
    run.send(signal.SIGKILL)
    return run.wait()


def test_five_kills_of_one_run_lose_nothing(
    tmp_path: Path, launcher: Launcher, clip: list[str], undisturbed: Path
) -> None:
    """The run is gone on with after each."""
    chance, journal = random.Random(SEED), tmp_path / "o" / "out.mp4.poses.jsonl"
    words = [*clip, *outputs(tmp_path / "o"), "--resume"]
    for _ in range(5):
        before = lines_of(journal)
        kill_at_random(launcher, words, journal, chance)
        assert lines_of(journal) >= before - before % GROUP - 1, "frames that were done are lost"
    launcher.run(*words)
    assert_equal(tmp_path / "o", undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_lose_nothing(tmp_path: Path, launcher: Launcher, clip: list[str], undisturbed: Path) -> None:
    """Each of a run of its own, at a moment of its own."""
    chance, killed = random.Random(SEED), 0
    for number in range(20):
        folder = tmp_path / str(number)
        words = [*clip, *outputs(folder)]
        killed += kill_at_random(launcher, words, folder / "out.mp4.poses.jsonl", chance) == -signal.SIGKILL
        launcher.run(*words, "--resume")
        assert_equal(folder, undisturbed)
    assert killed >= 10


def test_what_is_done_is_not_inferred_again(
    tmp_path: Path, launcher: Launcher, clip: list[str], undisturbed: Path
) -> None:
    """A pose that nothing could have measured is still there afterwards, up to the last whole group."""
    words = [*clip, *outputs(tmp_path / "o")]
    journal = tmp_path / "o" / "out.mp4.poses.jsonl"
    launcher.kill(journal, 2 * GROUP + 2, *words)
    lines = journal.read_bytes().splitlines(keepends=True)
    for number in (1, 2 * GROUP, 2 * GROUP + 1):
        entry = json.loads(lines[number])
        entry["people"] = []
        lines[number] = as_line(without(entry, "crc32"), checksum=True)
    journal.write_bytes(b"".join(lines[: 2 * GROUP + 2]))
    launcher.run(*words, "--resume")
    people = [len(frame.poses) for frame in read_journal(journal)]
    assert len(people) == FRAMES
    assert [index for index, count in enumerate(people) if not count] == [0, 2 * GROUP - 1]


def test_attention_is_read_again_for_frames_that_are_done(
    tmp_path: Path, launcher: Launcher, clip: list[str], undisturbed: Path
) -> None:
    maps = {}
    for name in ("whole", "killed"):
        words = [*clip, "--json", f"{tmp_path}/{name}.json", "--attention", f"{tmp_path}/{name}.npz"]
        if name == "killed":
            launcher.kill(tmp_path / "killed.json.poses.jsonl", GROUP + 3, *words)
            words.append("--resume")
        launcher.run(*words)
        with np.load(tmp_path / f"{name}.npz") as arrays:
            maps[name] = {key: arrays[key] for key in arrays.files}
    assert maps["whole"].keys() == maps["killed"].keys()
    for key, values in maps["whole"].items():
        np.testing.assert_array_equal(values, maps["killed"][key], err_msg=key)


@pytest.fixture
def unfinished(tmp_path: Path, undisturbed: Path) -> Path:
    """What a run that was killed leaves: eleven frames, the last one torn."""
    folder = tmp_path / "unfinished"
    folder.mkdir()
    lines = (undisturbed / "out.mp4.poses.jsonl").read_bytes().splitlines(keepends=True)
    lines[0] = (
        lines[0]
        .replace(b'"complete":true ', b'"complete":false')
        .replace(str(undisturbed).encode(), str(folder).encode())
    )
    (folder / "out.mp4.poses.jsonl").write_bytes(b"".join(lines[:11]) + lines[11][:40])
    return folder


@pytest.mark.parametrize("lost", ["header", "first byte", "zeros", "torn", "damaged", "all outputs but one"])
def test_whatever_a_power_cut_left(
    tmp_path: Path, launcher: Launcher, clip: list[str], undisturbed: Path, unfinished: Path, lost: str
) -> None:
    journal = unfinished / "out.mp4.poses.jsonl"
    data = journal.read_bytes()
    lines = data.splitlines(keepends=True)
    journal.write_bytes(
        {
            "header": b"",
            "first byte": data[:1],
            "zeros": data + bytes(4096),
            "torn": data,
            "damaged": b"".join([*lines[:5], b"\x00" * 20 + b"\n", *lines[6:]]),
            "all outputs but one": data,
        }[lost]
    )
    if lost == "all outputs but one":
        for name in ("out.mp4", "out.csv"):
            (unfinished / name).write_bytes(b"of the run that was cut off")
    launcher.run(*clip, *outputs(unfinished), "--resume")
    assert_equal(unfinished, undisturbed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["--batch-size", "4"], "batch_size was 8, now 4"),
        (["--precision", "bf16"], "precision was fp32, now bf16"),
        (["--threads", "1"], "threads was 2, now 1"),
        (["--flip-test"], "flip_test was False, now True"),
        (["--det-every", "3"], "options.detector.every was 1, now 3"),
        (["--smooth", "none"], "options.smooth was"),
        (["--start", "0.1"], "window.start_s was 0.0, now 0.1"),
        (["--detector", "full-frame"], "detector was boxes:"),
    ],
)
def test_other_options_are_refused_with_the_reason(
    launcher: Launcher, clip: list[str], unfinished: Path, change: list[str], reason: str
) -> None:
    journal = unfinished / "out.mp4.poses.jsonl"
    before = journal.read_bytes()
    run = launcher.start(*clip, *outputs(unfinished), "--resume", *change)
    assert run.wait() == 2
    assert reason in run.said() and "start over" in run.said() and "Traceback" not in run.said()
    assert journal.read_bytes() == before


def test_another_source_is_refused(launcher: Launcher, clip: list[str], unfinished: Path) -> None:
    other = unfinished / "walk.mp4"
    other.write_bytes(Path(clip[1]).read_bytes() + b"\0")
    run = launcher.start(clip[0], str(other), *clip[2:], *outputs(unfinished), "--resume")
    assert run.wait() == 2
    assert "the input has changed" in run.said()


def test_without_resume_it_says_how(launcher: Launcher, clip: list[str], unfinished: Path) -> None:
    run = launcher.start(*clip, *outputs(unfinished))
    assert run.wait() == 2
    assert "--resume" in run.said() and "--overwrite" in run.said()


def test_a_foreign_output_is_not_replaced(launcher: Launcher, clip: list[str], unfinished: Path) -> None:
    mine = unfinished / "mine.npz"
    mine.write_bytes(b"mine")
    run = launcher.start(*clip, *outputs(unfinished), "--npz", mine, "--resume")
    assert run.wait() == 2
    assert "mine.npz already exists" in run.said()
    assert mine.read_bytes() == b"mine"


def test_what_is_finished_is_left_alone_and_others_go_on(tmp_path: Path, launcher: Launcher, clip: list[str]) -> None:
    folder = tmp_path / "o"
    words = ["video", clip[1], clip[1].replace("walk", "crossing"), "--end", "0.6", "--detector", "full-frame"]
    words += ["-o", folder, "--json", folder]
    folder.mkdir()
    launcher.kill(folder / "crossing.mp4.poses.jsonl", 10, *words)
    before = (folder / "walk.mp4").stat().st_mtime_ns
    run = launcher.run(*words, "--resume")
    assert "walk.mp4: finished already" in run.said().replace("\n", " ")
    assert (folder / "walk.mp4").stat().st_mtime_ns == before
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}{ending}" for name in ("crossing", "walk") for ending in (".json", ".mp4", ".mp4.poses.jsonl")
    ]
    launcher.run(*words, "--resume")


def test_an_output_that_is_gone_is_made_again_without_the_net(
    tmp_path: Path, launcher: Launcher, clip: list[str]
) -> None:
    folder = tmp_path / "o"
    launcher.run(*clip, *outputs(folder))
    journal, text = (folder / "out.mp4.poses.jsonl").read_bytes(), (folder / "out.json").read_bytes()
    (folder / "out.json").unlink()
    launcher.run(*clip, *outputs(folder), "--resume")
    assert (folder / "out.json").read_bytes() == text
    assert (folder / "out.mp4.poses.jsonl").read_bytes() == journal


SHORT = ["--model", "transpose-r18-a3", "--end", "0.3"]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--blur-heads"], {"out.mp4"}),
        (["--min-score", "0.9"], {"out.mp4", "out.json"}),
        (["--json-format", "results"], {"out.json"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_options_of_outputs_make_them_again(
    tmp_path: Path, launcher: Launcher, clip: list[str], options: list[str], changed: set[str]
) -> None:
    folder, fresh = tmp_path / "o", tmp_path / "fresh"
    words = [*clip, *SHORT, *outputs(folder)]
    launcher.run(*words)
    journal = folder / "out.mp4.poses.jsonl"
    before, lines = {path.name: path.read_bytes() for path in folder.iterdir()}, journal.read_bytes().splitlines()[1:]
    launcher.run(*words, *options, "--resume")
    launcher.run(*clip, *SHORT, *outputs(fresh), *options)
    for name in ("out.mp4", "out.csv"):
        assert (folder / name).read_bytes() == (fresh / name).read_bytes(), name
        assert (before[name] != (folder / name).read_bytes()) == (name in changed), name
    found, wanted = (json.loads((place / "out.json").read_text()) for place in (folder, fresh))
    if isinstance(wanted, dict):
        first = json.loads(before["out.json"])
        found, wanted, first = ((it["images"], it["annotations"]) for it in (found, wanted, first))
        assert (first != wanted) == ("out.json" in changed)
    assert found == wanted
    frames = [line for line in lines if b'"frame"' in line]
    assert [line for line in journal.read_bytes().splitlines()[1:] if b'"frame"' in line] == frames  # No net ran.
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    launcher.run(*words, *options, "--resume")
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["out.mp4", "out.json"])
def test_an_output_that_was_cut_is_made_again(tmp_path: Path, launcher: Launcher, clip: list[str], name: str) -> None:
    folder = tmp_path / "o"
    words = [*clip, *SHORT, *outputs(folder)]
    launcher.run(*words)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-10] if name == "out.json" else b"")
    launcher.run(*words, "--resume")
    assert (folder / name).stat().st_size == len(whole)


def test_images_that_were_added_mended_or_removed(tmp_path: Path, launcher: Launcher) -> None:
    stills = sorted((REPOSITORY / "sample_media" / "stills").glob("*.jpg"))
    many = tmp_path / "in"
    many.mkdir()
    for number, name in enumerate(("a", "b", "d", "e")):
        (many / f"{name}.jpg").write_bytes(stills[number % 3].read_bytes())
    (many / "d.jpg").write_bytes(b"damaged")

    def words(folder: str) -> list[object]:
        made = ["--json", tmp_path / f"{folder}.json", "--csv", tmp_path / f"{folder}.csv", "-o", tmp_path / folder]
        return ["images", many, *made, "--model", "transpose-r18-a3", "--detector", "full-frame"]

    assert launcher.start(*words("o")).wait() == 1
    (many / "a.jpg").unlink()
    (many / "b.jpg").write_bytes(stills[2].read_bytes())  # Another image under the old name.
    (many / "c.jpg").write_bytes(stills[0].read_bytes())
    (many / "d.jpg").write_bytes(stills[1].read_bytes())
    again = launcher.run(*words("o"), "--resume")
    launcher.run(*words("fresh"))
    found, wanted = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("o", "fresh"))
    assert found["images"] == wanted["images"] and found["annotations"] == wanted["annotations"]
    assert (tmp_path / "o.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "fresh").iterdir()}
    made = {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()}
    assert drawn.items() <= made.items() and made.keys() - drawn.keys() <= {"a.jpg"}
    assert "Traceback" not in again.said()
    (tmp_path / "o" / "c.jpg").unlink()
    launcher.run(*words("o"), "--resume")
    assert (tmp_path / "o" / "c.jpg").read_bytes() == drawn["c.jpg"]


@pytest.mark.parametrize("source", ["-", "0", "http://127.0.0.1:9/a.mp4"])
def test_what_is_read_once_cannot_be_resumed(tmp_path: Path, launcher: Launcher, source: str) -> None:
    run = launcher.start("video", source, "-o", tmp_path / "out.mp4", "--resume", environment={"TPOSE_OFFLINE": "0"})
    assert run.wait() == 2
    assert "cannot be resumed" in run.said()


def test_pictures_go_on(tmp_path: Path, launcher: Launcher) -> None:
    stills = REPOSITORY / "sample_media" / "stills"
    many = tmp_path / "in"
    many.mkdir()
    for number in range(60):
        (many / f"{number:03d}.jpg").write_bytes((stills / f"still_{number % 3 + 1:02d}.jpg").read_bytes())
    (many / "007.jpg").write_bytes(b"no picture")
    said = {}
    for name in ("whole", "killed"):
        words = ["images", many, "--json", tmp_path / f"{name}.json", "-o", tmp_path / name, "--detector", "full-frame"]
        words += ["--model", "transpose-r18-a3"]
        if name == "killed":
            launcher.kill(tmp_path / "killed.poses.jsonl", GROUP + 3, *words)
            words.append("--resume")
        run = launcher.start(*words)
        assert run.wait() == 1, run.said()
        said[name] = run.said()
    assert all("007.jpg" in text for text in said.values())
    whole, killed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "killed"))
    assert whole["annotations"] == killed["annotations"] and whole["images"] == killed["images"]
    assert len(whole["images"]) == 59
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes()


def assert_full(run: Run, folder: Path) -> None:
    """It said what, and how to go on; nothing is left but a sound journal."""
    assert run.wait() == 1, run.said()
    said = run.said().replace("\n", " ")
    assert "cannot be written" in said and "free some space" in said, said
    assert "--resume" in said and "Traceback" not in said, said
    assert sorted(path.name for path in folder.iterdir()) in (
        ["out.mp4.poses.jsonl"],
        ["out.mp4.poses.jsonl", "out.partial.mp4"],
    )
    assert (folder / "out.mp4.poses.jsonl").read_bytes().endswith(b"\n")


@pytest.mark.parametrize("limit", [20_000, 60_000])
def test_a_file_that_may_not_grow(
    tmp_path: Path, launcher: Launcher, clip: list[str], undisturbed: Path, limit: int
) -> None:
    folder = tmp_path / "o"
    assert_full(launcher.start(*clip, *outputs(folder), limit=limit), folder)
    launcher.run(*clip, *outputs(folder), "--resume")
    assert_equal(folder, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.getuid() or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts file systems")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(launcher: Launcher, clip: list[str], small_disk: Path, undisturbed: Path) -> None:
    assert_full(launcher.start(*clip, *outputs(small_disk)), small_disk)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    launcher.run(*clip, *outputs(small_disk), "--resume")
    assert_equal(small_disk, undisturbed)


def test_two_runs_on_one_output(launcher: Launcher, clip: list[str], tmp_path: Path) -> None:
    from tposecli.utils.locks import output_locks

    for held in ("out.mp4", "out.json"):
        with output_locks([tmp_path / held]):
            run = launcher.start(*clip, *outputs(tmp_path))
            assert run.wait() == 2
        assert f"{held}: another run (process {os.getpid()}) is writing it" in run.said()
    assert list(tmp_path.iterdir()) == []


def test_a_claim_dies_with_its_run(launcher: Launcher, clip: list[str], tmp_path: Path) -> None:
    launcher.kill(tmp_path / "out.mp4.poses.jsonl", 3, *clip, *outputs(tmp_path))
    assert (tmp_path / "out.mp4.lock").exists()
    launcher.run(*clip, *outputs(tmp_path), "--resume")
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("then", [[], ["--resume"]])
def test_a_run_without_a_frame_is_in_nobodys_way(
    launcher: Launcher, clip: list[str], tmp_path: Path, then: list[str]
) -> None:
    refused = launcher.start(*clip, *outputs(tmp_path), "--codec", "prores")
    assert refused.wait() == 1
    assert "use one of h264, " in refused.said()
    launcher.run(*clip, "--start", "0.5", *outputs(tmp_path), *then)
    assert len(list(read_journal(tmp_path / "out.mp4.poses.jsonl"))) == 15


def test_a_span_behind_the_end_is_an_error(launcher: Launcher, clip: list[str], tmp_path: Path) -> None:
    wrong = launcher.start(*clip[:2], *clip[4:], "--start", "100", *outputs(tmp_path))
    assert wrong.wait() == 1
    assert "ends at" in wrong.said() and "before --start 100" in wrong.said() and "Traceback" not in wrong.said()
    assert not list(tmp_path.glob("*.poses.jsonl")), "a journal without a frame is of no use"
    launcher.run(*clip, *outputs(tmp_path))
    assert (tmp_path / "out.mp4").exists()


def test_outputs_that_cannot_be(launcher: Launcher, clip: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    copy = tmp_path / "in.mp4"
    copy.write_bytes(Path(clip[1]).read_bytes())
    for words, status, message in (
        ([clip[1], "-o", tmp_path / "file" / "out.mp4"], 1, "cannot be"),
        ([copy, "-o", copy, "--overwrite"], 2, "is an input"),
        ([copy, "-o", tmp_path / "x.mp4", "--json", copy, "--overwrite"], 2, "is an input"),
    ):
        run = launcher.start("video", *words)
        assert run.wait() == status, run.said()
        assert message in run.said() and "Traceback" not in run.said()
    stills = tmp_path / "stills"
    stills.mkdir()
    (stills / "a.png").write_bytes(b"")
    run = launcher.start("images", stills, "-o", stills)
    assert run.wait() == 2 and "is an input" in run.said()
    assert copy.read_bytes() == Path(clip[1]).read_bytes()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(launcher: Launcher, clip: list[str], tmp_path: Path) -> None:
    (tmp_path / "o").mkdir(mode=0o555)
    run = launcher.start(*clip, "-o", tmp_path / "o" / "out.mp4")
    assert run.wait() == 1 and "cannot be written" in run.said()
