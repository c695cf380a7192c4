"""Videos and images in a store that speaks S3, and on a web server: in, out, resumed, and everything that can fail."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import REPOSITORY
from tests.support.launcher import Launcher, launching
from tests.support.media import write_image
from tests.support.object_store import CREDENTIALS, ObjectStore, serving
from tests.support.server import running
from tposecli.formats.journal.journal import read_journal
from tposecli.hub import remote
from tposecli.sources import find_videos
from tposecli.utils.errors import InputError

MEDIA = REPOSITORY / "sample_media"
FAST = ["--model", "transpose-r18-a3", "--detector", "full-frame"]
SHORT = [*FAST, "--end", "0.7"]
JOURNAL = "walk.mp4.poses.jsonl"
END = ".mp4.poses.jsonl"
WALK = (MEDIA / "walk.mp4").read_bytes()

OFTEN = {"tposecli.pipeline.staging.JOURNAL_S": 0.2}
"""Store the journal all the time."""
IMPATIENT = {"tposecli.hub.remote.PAUSE_S": 0.01}
NO_ROOM = {"tposecli.pipeline.staging.ROOM": 10**9}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with serving(tmp_path_factory.mktemp("store")) as running_store:
        running_store.put("films/walk.mp4", WALK)
        running_store.put("films/cam/portrait.mp4", (MEDIA / "portrait.mp4").read_bytes())
        running_store.put("films/notes.txt", b"no film")
        for still in sorted((MEDIA / "stills").glob("*.jpg"))[:3]:
            running_store.put(f"photos/day/{still.name}", still.read_bytes())
        yield running_store


@pytest.fixture(scope="module")
def launcher(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    patch = pytest.MonkeyPatch()
    for name, value in store.environment.items():
        patch.setenv(name, value)
    with launching(tmp_path_factory.mktemp("runs")) as running_launcher:
        yield running_launcher
    patch.undo()


@pytest.fixture
def made(store: ObjectStore, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of a new bucket; the store behaves again afterwards."""
    name = f"made-{abs(hash(request.node.name)):x}"[:40]
    store.client.create_bucket(Bucket=name)
    yield f"s3://{name}"
    store.misbehave()


@pytest.fixture(scope="module")
def whole(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a run without addresses makes of the whole video."""
    folder = tmp_path_factory.mktemp("whole")
    launcher.run("video", MEDIA / "walk.mp4", "-o", folder / "walk.mp4", "--json", folder / "walk.json", *FAST)
    return folder


@pytest.fixture(scope="module")
def plain(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a run without addresses makes."""
    folder = tmp_path_factory.mktemp("plain")
    launcher.run("video", MEDIA / "walk.mp4", "-o", folder / "walk.mp4", "--json", folder / "walk.json", *SHORT)
    return folder


def content(store: ObjectStore, address: str) -> bytes:
    found = store.get(address.removeprefix("s3://"))
    assert found is not None, address
    return found


def without_origin(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key not in ("command", "source_version", "date_created")}


def assert_equal_to_plain(store: ObjectStore, made: str, plain: Path, **other_origin: Any) -> None:
    found, wanted = json.loads(content(store, f"{made}/walk.json")), json.loads((plain / "walk.json").read_bytes())
    assert {**without_origin(found.pop("info")), **other_origin} == {
        **without_origin(wanted.pop("info")),
        **other_origin,
    }
    assert found == wanted
    assert content(store, f"{made}/walk.mp4") == (plain / "walk.mp4").read_bytes()
    lines = content(store, f"{made}/{JOURNAL}").splitlines()
    assert lines[1:-1] == (plain / JOURNAL).read_bytes().splitlines()[1:-1]
    assert json.loads(lines[0])["outputs"] == [f"{made}/walk.mp4", f"{made}/walk.json"]


def names(store: ObjectStore, made: str) -> set[str]:
    return set(store.names(made.removeprefix("s3://")))


def outputs_in(made: str) -> list[str]:
    return ["-o", f"{made}/walk.mp4", "--json", f"{made}/walk.json"]


def test_a_run_on_a_store_equals_a_plain_run(store: ObjectStore, launcher: Launcher, made: str, plain: Path) -> None:
    run = launcher.run("video", "s3://films/walk.mp4", *outputs_in(made), *SHORT, "--log-json")
    assert names(store, made) == {"walk.mp4", "walk.json", JOURNAL}
    assert_equal_to_plain(store, made, plain)
    end = next(event for line in run.said().splitlines() if (event := json.loads(line))["event"] == "end")
    assert end["path"] == "s3://films/walk.mp4"
    assert end["outputs"] == [f"{made}/walk.mp4", f"{made}/walk.json", f"{made}/{JOURNAL}"]
    head = json.loads(content(store, f"{made}/{JOURNAL}").splitlines()[0])
    assert head["source"] == "walk.mp4" and head["source_version"].endswith(f" {len(WALK)}")
    secrets = [CREDENTIALS["AWS_SECRET_ACCESS_KEY"], "Signature", "scratch"]
    texts = run.said() + "".join(content(store, f"{made}/{name}").decode("latin-1") for name in names(store, made))
    assert not [secret for secret in secrets if secret in texts]


def test_what_is_there_is_refused_and_a_finished_run_fetches_nothing(
    store: ObjectStore, launcher: Launcher, made: str
) -> None:
    words = ["video", "s3://films/walk.mp4", *outputs_in(made), *SHORT]
    launcher.run(*words)
    again = launcher.start(*words)
    assert again.wait() == 2
    assert f"{made}/walk.mp4 already exists; add --overwrite" in again.said()
    store.requests()
    resumed = launcher.run(*words, "--resume")
    assert "finished already" in resumed.said()
    assert not [each for each in store.requests() if each in ("GET /films/walk.mp4", f"PUT /{made[5:]}/walk.mp4")]
    launcher.run(*words, "--overwrite")
    other = launcher.start(*words, "--resume", "--flip-test")
    assert other.wait() == 2 and "cannot resume: flip_test was False, now True" in other.said()


def test_a_lost_machine_costs_what_was_not_stored(
    store: ObjectStore, launcher: Launcher, made: str, whole: Path, tmp_path: Path
) -> None:
    words = ["video", "s3://films/walk.mp4", *outputs_in(made), *FAST]
    run = launcher.start(*words, constants=OFTEN, environment={"TMPDIR": str(tmp_path)})
    name = f"{made[5:]}/{JOURNAL}"
    deadline = time.monotonic() + 60
    while (store.get(name) or b"").count(b"\n") < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send(9)
    run.wait()
    assert names(store, made) == {JOURNAL}  # Nothing else has its name yet.
    refused = launcher.start(*words)
    assert refused.wait() == 2 and f"{made}/{JOURNAL}: an interrupted run; add --resume" in refused.said()
    now = {"tposecli.pipeline.staging.YOUNG_S": -1}
    resumed = launcher.run(*words, "--resume", environment={"TMPDIR": str(tmp_path)}, constants=now)
    assert "resuming after" in resumed.said() and "after 0 finished" not in resumed.said()
    assert_equal_to_plain(store, made, whole)
    assert not [path for path in tmp_path.glob("*/*") if path.is_dir()]  # Also what the killed run left is gone.


def test_a_store_that_is_slow_and_fails_at_times(
    store: ObjectStore, launcher: Launcher, made: str, plain: Path
) -> None:
    store.misbehave(fail=4, delay_s=0.05)
    run = launcher.run("video", "s3://films/walk.mp4", *outputs_in(made), *SHORT, constants=IMPATIENT)
    assert "Traceback" not in run.said()
    assert_equal_to_plain(store, made, plain)


@pytest.mark.parametrize("fault", [{"fail": 10**6}, {"cut": 10**6}], ids=["500", "cut"])
def test_an_upload_that_fails_leaves_nothing_half_written(
    store: ObjectStore, launcher: Launcher, made: str, plain: Path, fault: dict[str, int]
) -> None:
    words = ["video", "s3://films/walk.mp4", *outputs_in(made), *SHORT]
    store.misbehave(method="PUT", key="walk.mp4", **fault)
    impatient = {**IMPATIENT, "tposecli.hub.remote.TRIES": 1}
    run = launcher.start(*words, constants=impatient, environment={"AWS_MAX_ATTEMPTS": "1"})
    assert run.wait() == 1
    assert "the store fails (" in run.said() and "run the command again later" in run.said()
    assert "walk.mp4" not in names(store, made)
    store.misbehave()
    launcher.run(*words, "--resume", "--overwrite")
    assert_equal_to_plain(store, made, plain)


def test_of_two_runs_on_one_output_the_first_is_kept(store: ObjectStore, launcher: Launcher, made: str) -> None:
    run = launcher.start("video", "s3://films/walk.mp4", "-o", f"{made}/walk.mp4", *SHORT, constants=OFTEN)
    deadline = time.monotonic() + 60
    while JOURNAL not in names(store, made) and time.monotonic() < deadline:
        time.sleep(0.02)
    store.put(f"{made[5:]}/walk.mp4", b"of another run")
    assert run.wait() == 1
    assert f"{made}/walk.mp4: an object of that name has appeared meanwhile and is kept" in run.said()
    assert content(store, f"{made}/walk.mp4") == b"of another run"


Changed = Callable[[ObjectStore], None]


@pytest.mark.parametrize(
    ("words", "environment", "status_said"),
    [
        (["s3://films/none.mp4", "-o", "{}/a.mp4"], {}, (1, "s3://films/none.mp4: no such file, folder or bucket")),
        (["s3://nowhere/*.mp4", "-o", "{}/"], {}, (1, "s3://nowhere/*.mp4: no such file, folder or bucket")),
        (["s3://films/cam", "-o", "{}/"], {}, (1, "s3://films/cam: a folder; end its name with a slash")),
        (["s3://films/notes.txt", "-o", "{}/a.mp4"], {}, (1, "s3://films/notes.txt: cannot be opened as a video")),
        (["s3://films/walk.mp4", "-o", "s3://nowhere/"], {}, (2, "s3://nowhere: no such file, folder or bucket")),
        (["s3://films/walk.mp4", "-o", "{}/a.mp4", "--csv", "a.csv"], {}, (2, "name a store for all of them")),
        (["s3://films/walk.mp4", "-o", "s3://films/walk.mp4"], {}, (2, "s3://films/walk.mp4 is an input")),
        (["s3://films/walk.mp4", "-o", "a.mp4", "--offline"], {}, (2, "an address, and the network is off")),
        (["s3://films/*.mp4", "-o", "out/"], {"TPOSE_OFFLINE": "1"}, (2, "an address, and the network is off")),
        (["http://127.0.0.1:9/a.mp4", "-o", "a.mp4", "--offline"], {}, (2, "an address, and the network is off")),
        (["s3://films/walk.mp4", "--report", "{}/a.html", "-o", "{}/a.mp4"], {}, (2, "written to this machine only")),
        (
            ["s3://films/*.mp4", "-o", "out/"],
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nonexistent"},
            (1, "no valid credentials were found; set AWS_PROFILE"),
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    launcher: Launcher,
    made: str,
    words: list[str],
    environment: dict[str, str],
    status_said: tuple[int, str],
    tmp_path: Path,
) -> None:
    status, said = status_said
    words = [word.format(made) if "{}" in word else word for word in words]
    words = [str(tmp_path / word) if word.startswith(("a.", "out/")) else word for word in words]
    run = launcher.start("video", *words, *SHORT, constants=IMPATIENT, environment=environment)
    assert run.wait() == status, run.said()
    assert said in run.said() and "Traceback" not in run.said()
    assert sum(said in line for line in run.said().splitlines()) == 1


def test_refused_by_the_store(store: ObjectStore, launcher: Launcher, made: str) -> None:
    store.misbehave(refuse=True, key="films")
    run = launcher.start("video", "s3://films/walk.mp4", "-o", f"{made}/a.mp4", *SHORT)
    assert run.wait() == 1 and "s3://films/walk.mp4: access is refused; set AWS_PROFILE" in run.said()
    store.misbehave(refuse=True, key=made[5:], method="PUT")
    run = launcher.start("video", "s3://films/walk.mp4", "-o", f"{made}/a.mp4", *SHORT)
    assert run.wait() == 2 and f"{made}: access is refused" in run.said()


def test_without_the_package_it_is_named(launcher: Launcher) -> None:
    run = launcher.start("video", "s3://films/walk.mp4", "-o", "a.mp4", constants={"sys.modules.s3fs": None})
    assert run.wait() == 2
    assert "s3:// addresses need s3fs; pip install 'tposecli[remote]'" in run.said()


def test_an_input_that_does_not_fit_is_read_by_ranges(
    store: ObjectStore, launcher: Launcher, made: str, whole: Path
) -> None:
    words = ["video", "s3://films/walk.mp4", *outputs_in(made), *FAST]
    run = launcher.start(*words, constants={**NO_ROOM, **OFTEN})
    deadline = time.monotonic() + 60
    while (store.get(f"{made[5:]}/{JOURNAL}") or b"").count(b"\n") < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send(2)
    assert run.wait() == 130
    resumed = launcher.run(*words, "--resume", constants=NO_ROOM)
    assert "read by ranges" in resumed.said() and "resuming after" in resumed.said()
    assert "Signature" not in resumed.said()
    texts = [content(store, f"{made}/{name}") for name in names(store, made)]
    assert not any(b"Signature" in text or b"X-Amz" in text for text in texts)
    found, wanted = json.loads(content(store, f"{made}/walk.json")), json.loads((whole / "walk.json").read_bytes())
    assert found["annotations"] == wanted["annotations"]
    again = launcher.run(*words, "--resume")  # As on a machine where it fits.
    assert "finished already" in again.said()


def test_one_table_of_many_videos_and_their_names(store: ObjectStore, launcher: Launcher, made: str) -> None:
    launcher.run("video", "s3://films/", "-r", "--csv", f"{made}/all.csv", *FAST, "--end", "0.2")
    rows = content(store, f"{made}/all.csv").decode().splitlines()
    assert {row.partition(",")[0] for row in rows[1:]} == {"walk.mp4", "cam/portrait.mp4"}
    launcher.run("video", "s3://films/", "-r", "--csv", f"{made}/all.csv", *FAST, "--end", "0.2", "--resume")
    assert content(store, f"{made}/all.csv").decode().splitlines() == rows


def test_several_processes(store: ObjectStore, launcher: Launcher, made: str, plain: Path) -> None:
    inputs = ["s3://films/walk.mp4", "s3://films/cam/portrait.mp4"]
    launcher.run("video", *inputs, "-o", f"{made}/", "--json", f"{made}/", *SHORT, "--workers", "2")
    ends = (".mp4", ".json", ".mp4.poses.jsonl")
    assert names(store, made) == {f"{name}{end}" for name in ("walk", "portrait") for end in ends}
    found, wanted = json.loads(content(store, f"{made}/walk.json")), json.loads((plain / "walk.json").read_bytes())
    assert found["images"] == wanted["images"] and len(found["annotations"]) == len(wanted["annotations"])


def test_images(store: ObjectStore, launcher: Launcher, made: str, tmp_path: Path) -> None:
    words = ["-o", f"{made}/drawn/", "--json", f"{made}/poses.json", *FAST]
    launcher.run("images", "s3://photos/day/*.jpg", *words)
    launcher.run("images", MEDIA / "stills", "--json", tmp_path / "poses.json", *FAST)
    found, wanted = json.loads(content(store, f"{made}/poses.json")), json.loads((tmp_path / "poses.json").read_bytes())
    assert found["annotations"] and found["annotations"] == wanted["annotations"][: len(found["annotations"])]
    drawn = {f"drawn/{image['file_name']}" for image in found["images"]}
    assert names(store, made) == {*drawn, "poses.json", "drawn.poses.jsonl"}
    again = launcher.start("images", "s3://photos/day/", *words)
    assert again.wait() == 2 and "already exists" in again.said()
    assert "finished already" in launcher.run("images", "s3://photos/day/*.jpg", *words, "--resume").said()


def test_names_in_a_store(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"s3:/b/in/a.mp4": 1, "s3:/b/in/a.mov": 1, "s3:/b/in/a_pose.mp4": 1, "s3:/b/in/a_pose.mp4.poses.jsonl": 1}
    found = {Path(name): remote.Found(size, "tag") for name, size in rows.items()}
    monkeypatch.setattr(sys.modules["tposecli.sources.find_videos"], "find", lambda *_: found)
    videos = find_videos(["s3://b/in/"], own_suffix=".poses.jsonl")
    assert [(video.location, video.name, video.label) for video in videos] == [
        ("s3://b/in/a.mov", "a_mov", "a_mov.mov"),
        ("s3://b/in/a.mp4", "a_mp4", "a_mp4.mp4"),
    ]
    assert remote.stored_path("gs://b/x/") == Path("gs:/b/x") and remote.address_of(Path("gs:/b/x")) == "gs://b/x"
    assert not remote.is_stored("https://b/x") and not remote.is_stored(Path("s3x:/b")) and remote.is_stored("s3:/b/x")
    monkeypatch.setattr(sys.modules["tposecli.sources.find_videos"], "find", lambda *_: _raise())
    with pytest.raises(InputError, match="no such"):
        find_videos(["s3://b/*.mp4"])


def _raise() -> None:
    raise InputError("s3://b/*.mp4: no such file; check the name")


def test_an_address_with_ranges_is_resumed(launcher: Launcher, whole: Path, tmp_path: Path) -> None:
    with running() as server:
        server.files["walk.mp4"] = WALK
        address = server.url.replace("http://", "http://me:secret@") + "/walk.mp4?token=abc"
        words = ["video", address, "-o", tmp_path / "walk.mp4", "--json", tmp_path / "walk.json", *FAST]
        launcher.kill(tmp_path / JOURNAL, 10, *words)
        resumed = launcher.run(*words, "--resume")
        assert "resuming after" in resumed.said()
        found, wanted = (json.loads((folder / "walk.json").read_bytes()) for folder in (tmp_path, whole))
        assert found["annotations"] == wanted["annotations"]
        assert read_journal(tmp_path / JOURNAL).header["source_version"]
        texts = resumed.said().encode() + b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        assert not any(secret in texts for secret in (b"secret", b"token"))
        server.files["walk.mp4"] = WALK + b"\0"
        other = launcher.start(*words, "--resume")
        assert other.wait() == 2 and "the input has changed" in other.said()
        server.plan[:] = [lambda handler, content: handler.head(200, Content_Length=len(content))]
        once = launcher.start("video", address, "-o", tmp_path / "b.mp4", *FAST, "--resume")
        assert once.wait() == 2 and "can be read only once" in once.said()


def test_playlists_and_what_has_no_ranges_are_left_to_ffmpeg() -> None:
    from tposecli.hub.download.options import Downloads

    def inspected(content_: bytes) -> remote.Found | None:
        server.files["a"] = content_
        return remote.inspect(f"{server.url}/a", Downloads(offline=False))

    with running() as server:
        assert inspected(b"#EXTM3U\n" + b"x" * 100) is None
        assert inspected(b"\0\0\0 ftyp" + b"x" * 100) == remote.Found(108, server_tag(server))
        server.plan[:] = [lambda handler, content_: handler.head(200, Content_Length=1)]
        assert inspected(b"x" * 100) is None


def server_tag(server: Any) -> str:
    from tests.support.server import tag

    return tag(server.files["a"]).strip('"')


def test_several_processes_share_what_is_in_a_store(
    store: ObjectStore, launcher: Launcher, made: str, plain: Path, tmp_path: Path
) -> None:
    """Videos one each, though they are long enough to be cut; images by shares."""
    films, how = ["s3://films/walk.mp4", "s3://films/cam/portrait.mp4"], [*SHORT, "--threads", "1", "--workers", "2"]
    launcher.run("video", *films, "-o", f"{made}/", "--json", f"{made}/", *how)
    found, wanted = json.loads(content(store, f"{made}/walk.json")), json.loads((plain / "walk.json").read_bytes())
    assert found["images"] == wanted["images"] and len(found["annotations"]) == len(wanted["annotations"])
    assert names(store, made) == {f"{name}{end}" for name in ("walk", "portrait") for end in (".mp4", ".json", END)}


def test_images_of_a_store_are_shared_among_processes(
    store: ObjectStore, launcher: Launcher, made: str, tmp_path: Path
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(11):
        image = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        write_image(tmp_path / "many" / f"{number}.png", image)
        store.put(f"photos/many/{number}.png", (tmp_path / "many" / f"{number}.png").read_bytes())
    store.put("photos/many/4.png", b"no image")
    (tmp_path / "many" / "4.png").write_bytes(b"no image")
    how = [*FAST, "--threads", "1"]
    assert launcher.start(
        "images", tmp_path / "many", "-o", tmp_path / "drawn", "--json", tmp_path / "a.json", *how
    ).wait()
    words = ["images", "s3://photos/many/", "-o", f"{made}/drawn", "--json", f"{made}/a.json", *how, "--workers", "2"]
    run = launcher.start(*words, constants={"tposecli.pipeline.segments.images.WHOLE": 8})
    assert run.wait() == 1 and "s3://photos/many/4.png: cannot be decoded" in run.said()
    assert "10 images, 10 people" in run.said()
    files = {path.name: path.read_bytes() for path in (tmp_path / "drawn").iterdir()}
    assert names(store, made) == {"a.json", "drawn.poses.jsonl", *(f"drawn/{name}" for name in files)}
    assert all(content(store, f"{made}/drawn/{name}") == data for name, data in files.items())
    found, wanted = json.loads(content(store, f"{made}/a.json")), json.loads((tmp_path / "a.json").read_bytes())
    assert without_origin(found.pop("info")) == without_origin(wanted.pop("info"))
    assert found == wanted
    again = launcher.start(*words, "--resume")
    assert again.wait() == 1 and "10 images, 10 people" in again.said()
