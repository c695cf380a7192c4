"""Videos and images on a cluster of two nodes of one CPU, where everything fails once: ``pytest -m cluster``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from tests import REPOSITORY
from tests.support import segments
from tests.support.launcher import Launcher, launching, lines_of, wait_for
from tests.support.object_store import CREDENTIALS, ObjectStore, serving
from tests.support.segments import assert_plays_alike

pytestmark = pytest.mark.cluster

MEDIA = REPOSITORY / "sample_media"
HOW = ["--model", "transpose-r18-a3", "--detector", "full-frame", "--backend", "torch", "--threads", "1"]
SUFFIX = ".mp4.poses.jsonl"


class Nodes:
    """Two nodes of one CPU, and more if they are added."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.other = self.cluster.add_node(num_cpus=1)

    @property
    def address(self) -> str:
        """What ``--cluster`` takes."""
        return str(self.cluster.address)

    def add(self, **how: Any) -> Any:
        """Add a node of one CPU."""
        return self.cluster.add_node(num_cpus=1, **how)

    def measures(self, node: Any, journal: Path) -> bool:
        """Whether a worker of a node writes this journal, and has measured a group of frames."""
        lock = journal.with_name(f"{journal.name}.lock")
        if not 9 < lines_of(journal) < 28 or not lock.exists():
            return False
        parent = subprocess.run(["ps", "-o", "ppid=", "-p", str(writer_of(journal))], capture_output=True, check=False)
        return parent.stdout.strip() == str(node.all_processes["raylet"][0].process.pid).encode()

    def lose(self, node: Any) -> None:
        """Lose a node, and all that runs there, at once."""
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short videos."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("walk", "portrait"):
        segments.clip(folder / f"{name}.mp4", name)
    return folder


@pytest.fixture(scope="module")
def store(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with serving(tmp_path_factory.mktemp("store")) as running_store:
        running_store.put("films/walk.mp4", (clips / "walk.mp4").read_bytes())
        running_store.put("films/portrait.mp4", (clips / "portrait.mp4").read_bytes())
        running_store.put("films/broken.mp4", b"this is no film")
        running_store.put("films/poison.mp4", (clips / "walk.mp4").read_bytes())
        running_store.client.create_bucket(Bucket="made")
        yield running_store


@pytest.fixture(scope="module")
def nodes(store: ObjectStore) -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'tposecli[cluster]')")
    patch = pytest.MonkeyPatch()
    site = REPOSITORY / "tests" / "support" / "node_site"
    paths = f"{site}{os.pathsep}{REPOSITORY}"
    environment = {**store.environment, "PYTHONPATH": paths, "TPOSE_TEST_POISON": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    for name, value in environment.items():
        patch.setenv(name, value)
    found = Nodes()
    yield found
    found.cluster.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def launcher(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launching(tmp_path_factory.mktemp("runs")) as running_launcher:
        yield running_launcher


@pytest.fixture(scope="module")
def plain(launcher: Launcher, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a run without a cluster makes."""
    folder = tmp_path_factory.mktemp("plain")
    launcher.run("video", clips / "walk.mp4", clips / "portrait.mp4", "-o", f"{folder}/", "--json", f"{folder}/", *HOW)
    return folder


Read = Callable[[str], bytes]


def assert_equal(read: Read, plain: Path, *names: str, drawn_in: Path | None = None) -> None:
    """Check that outputs are those of the plain run, to the digit; a video drawn by segments shows the same."""
    for name in names:
        found, wanted = json.loads(read(f"{name}.json")), json.loads((plain / f"{name}.json").read_bytes())
        for content in (found, wanted):
            for key in ("command", "date_created", "source_version"):
                content["info"].pop(key, None)
        assert found == wanted
        if drawn_in is not None:
            assert_plays_alike(drawn_in / f"{name}.mp4", plain / f"{name}.mp4")
        # Two plain runs may not encode the other one to the same bytes either.
        assert drawn_in is not None or name != "walk" or read("walk.mp4") == (plain / "walk.mp4").read_bytes()
        assert read(f"{name}{SUFFIX}").splitlines()[1:-1] == (plain / f"{name}{SUFFIX}").read_bytes().splitlines()[1:-1]


def writer_of(output: Path) -> int:
    """Return the process that writes an output, from its lock."""
    return int(json.loads(output.with_name(f"{output.name}.lock").read_text().splitlines()[0])["process"])


def test_a_store_with_a_broken_film_and_one_that_ends_its_worker_among_good_ones(
    nodes: Nodes, launcher: Launcher, store: ObjectStore, plain: Path
) -> None:
    how = ["-o", "s3://made/", "--json", "s3://made/", *HOW, "--cluster", nodes.address, "--retries", "1"]
    run = launcher.start("video", "s3://films/*.mp4", *how, "--log-json")
    assert run.wait() == 1, run.said()
    events = [json.loads(line) for line in run.said().splitlines()]
    failed = {event["path"]: event["failed"] for event in events if event["event"] == "end" and event["failed"]}
    assert set(failed) == {"s3://films/broken.mp4", "s3://films/poison.mp4"}
    assert "cannot be opened as a video" in failed["s3://films/broken.mp4"][0]["reason"]
    reason = failed["s3://films/poison.mp4"][0]["reason"]
    assert "s3://films/poison.mp4: ended its worker in each of 2 tries" in reason
    assert "last lines (" in reason and "s3://films/poison.mp4: begun" in reason
    assert_equal(lambda name: store.get(f"made/{name}") or b"", plain, "walk", "portrait")
    made = {f"{name}{suffix}" for name in ("walk", "portrait") for suffix in (".mp4", ".json", SUFFIX)}
    assert set(store.names("made")) == made
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in run.said()
    again = launcher.start("video", "s3://films/[w-z]*.mp4", *how, "--resume")
    assert again.wait() == 0 and again.said().count("finished already") == 1


def test_a_killed_worker_and_a_lost_node_cost_the_unsaved_group(
    nodes: Nodes, launcher: Launcher, clips: Path, plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["video", clips, "-o", f"{out}/", "--json", f"{out}/", *HOW, "--cluster", nodes.address]
    run = launcher.start(*words)
    wait_for(out / f"walk{SUFFIX}", 12)
    os.kill(writer_of(out / "walk.mp4"), signal.SIGKILL)
    wait_for(out / f"portrait{SUFFIX}", 12)
    nodes.lose(nodes.other)
    status = run.wait()
    nodes.other = nodes.add()
    assert status == 0, run.said()
    assert "after 0 finished" not in run.said()  # What a node said last may be lost with it.
    assert_equal(lambda name: (out / name).read_bytes(), plain, "walk", "portrait")


SEGMENTS = ["--segment", "1s"]
"""Cuts the clips in two, at frame 32."""
FOLDER = f"walk{SUFFIX}.parts"
FIRST, SECOND = (f"{FOLDER}/{name}.poses.jsonl" for name in ("000000000-000000032", "000000032-000000064"))


def test_segments_on_two_nodes_one_of_which_is_lost(
    nodes: Nodes, launcher: Launcher, clips: Path, plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["video", clips, "-o", f"{out}/", "--json", f"{out}/", *HOW, "--cluster", nodes.address, *SEGMENTS]
    run = launcher.start(*words)
    deadline = time.monotonic() + 120
    while not any(nodes.measures(nodes.other, path) for path in out.glob("*.parts/*.jsonl")):
        assert time.monotonic() < deadline, run.said()
        time.sleep(0.02)
    nodes.lose(nodes.other)
    status = run.wait()
    nodes.other = nodes.add()
    assert status == 0, run.said()
    assert "after 0 finished" not in run.said()
    assert_equal(lambda name: (out / name).read_bytes(), plain, "walk", "portrait", drawn_in=out)
    made = {f"{name}{suffix}" for name in ("walk", "portrait") for suffix in (".mp4", ".json", SUFFIX)}
    assert {path.name for path in out.iterdir()} == made


def test_segments_meet_in_a_store_and_a_killed_driver_is_started_again(
    nodes: Nodes, launcher: Launcher, store: ObjectStore, plain: Path
) -> None:
    out = "s3://made/cut/"
    words = ["video", "s3://films/walk.mp4", "-o", out, "--json", out, *HOW, "--cluster", nodes.address, *SEGMENTS]
    run = launcher.start(*words)
    deadline = time.monotonic() + 60
    while not {f"cut/{FIRST}", f"cut/{SECOND}"} & set(store.names("made")) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send(signal.SIGKILL)
    run.wait()
    assert {f"cut/{FIRST}", f"cut/{SECOND}"} & set(store.names("made"))
    refused = launcher.start(*words)
    assert refused.wait() == 2 and f"{out}{FOLDER}: an interrupted run; add --resume" in refused.said()
    again = launcher.start(*words, "--resume")
    assert again.wait() == 0, again.said()
    assert_equal(lambda name: store.get(f"made/cut/{name}") or b"", plain, "walk")
    made = {f"cut/walk{suffix}" for suffix in (".mp4", ".json", SUFFIX)}
    assert {name for name in store.names("made") if name.startswith("cut/")} == made


def test_nodes_that_differ_or_do_not_see_the_segments_are_refused_by_name(
    nodes: Nodes, launcher: Launcher, clips: Path, plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["video", clips / "walk.mp4", "-o", f"{out}/", "--json", f"{out}/", *HOW, "--cluster", nodes.address]
    odd, blind = nodes.add(env_vars={"TPOSE_TEST_VERSION": "0.0.1"}), nodes.add(env_vars={"TPOSE_TEST_HIDDEN": FOLDER})
    run = launcher.start(*words, *SEGMENTS)
    status = run.wait()
    nodes.lose(odd)
    nodes.lose(blind)
    assert status == 0, run.said()
    assert " is refused: tposecli is 0.0.1, planned 0." in run.said()
    assert f"{FOLDER} is not there; name outputs on a disk that all nodes share, or in a store" in run.said()
    assert_equal(lambda name: (out / name).read_bytes(), plain, "walk", drawn_in=out)


def test_images_and_a_node_whose_disk_is_full(nodes: Nodes, launcher: Launcher, clips: Path, tmp_path: Path) -> None:
    photos, plain, out = tmp_path / "photos", tmp_path / "plain", tmp_path / "out"
    photos.mkdir()
    with av.open(str(clips / "walk.mp4")) as video:
        for number, frame in enumerate(video.decode(video=0)):
            frame.reformat(96, 72).to_image().save(photos / f"{number}.jpg")
            frame.reformat(72, 96).to_image().save(photos / f"{number}_again.jpg")
    (photos / "7.jpg").write_bytes(b"none")

    def words(folder: Path) -> list[Any]:
        folder.mkdir()
        made = ["-o", folder / "drawn", "--json", folder / "a.json", "--csv", folder / "a.csv"]
        return ["images", photos, *made, "--crops", folder / "crops", *HOW]

    assert launcher.start(*words(plain)).wait() == 1
    full = nodes.add(env_vars={"TPOSE_TEST_FULL": "12000"})
    command = [*words(out), "--cluster", nodes.address]
    run = launcher.start(*command)
    status = run.wait()
    nodes.lose(full)
    assert status == 1 and "cannot be written (File too large); free some space" in run.said(), run.said()
    assert not (out / "a.json").exists() and (out / "drawn.poses.jsonl.parts").is_dir()
    again = launcher.start(*command, "--resume")
    assert again.wait() == 1 and "7.jpg: cannot be decoded" in again.said(), again.said()
    assert "127 images, 127 people" in again.said() and "cannot be written" not in again.said()
    names = sorted(path.relative_to(plain) for path in plain.rglob("*") if path.is_file())
    assert sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file()) == names
    for name in names:
        assert len(name.parts) == 1 or (out / name).read_bytes() == (plain / name).read_bytes()
    assert all(segments.content(out / name) == segments.content(plain / name) for name in ("a.json", "a.csv"))
    journals = [(folder / "drawn.poses.jsonl").read_bytes().splitlines()[1:-1] for folder in (out, plain)]
    assert journals[0] == journals[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cluster", "127.0.0.1:9"], "--cluster 127.0.0.1:9: no cluster can be reached"),
        (["--cluster", "local", "--show"], "--show: there is no window"),
        (["--gpus-per-job", "0.5"], "--gpus-per-job is for runs on a cluster"),
        (["--segment", "10m"], "--segment is for runs on a cluster"),
        (["--cluster", "local", "--segment", "0m"], "'0m' is not a duration"),
    ],
)
def test_what_a_cluster_cannot_do(launcher: Launcher, tmp_path: Path, words: list[str], said: str) -> None:
    run = launcher.start("video", MEDIA / "walk.mp4", "-o", tmp_path / "a.mp4", *HOW, *words)
    assert run.wait() == 2
    assert said in run.said() and "Traceback" not in run.said()


def test_without_ray_it_is_named(launcher: Launcher, tmp_path: Path) -> None:
    words = ["video", MEDIA / "walk.mp4", "-o", tmp_path / "a.mp4", *HOW, "--cluster", "auto"]
    run = launcher.start(*words, constants={"sys.modules.ray": None})
    assert run.wait() == 2 and "pip install 'tposecli[cluster]'" in run.said()
