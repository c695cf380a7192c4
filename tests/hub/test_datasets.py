"""COCO's archives from a local server: sizes, resuming, digests, unpacking, and missing files."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support import server
from tests.support.server import Server
from tposecli.cli.main import cli
from tposecli.hub.datasets import coco
from tposecli.hub.datasets.check import check_set
from tposecli.hub.datasets.coco import SETS, Archive, DatasetPart
from tposecli.hub.datasets.get import DataJob, get_datasets, peak_bytes, plan_downloads
from tposecli.hub.datasets.unpack import unpack
from tposecli.hub.download.options import Downloads, RetryPolicy, no_progress
from tposecli.utils.errors import DownloadError, InputError, UsageError

PICTURES = {f"{number:012d}.jpg": os.urandom(3000 + number) for number in (139, 285, 632, 724)}
TRUTH = {"images": [{"file_name": name} for name in PICTURES], "annotations": []}
QUICK = Downloads(offline=False, retry=RetryPolicy(connect_s=2, stall_s=0.3, tries=3, pause_s=0.01))


def packed(files: dict[str, bytes]) -> bytes:
    """Return a zip archive with reproducible bytes (no timestamps)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def pictures(extra: dict[str, bytes] | None = None) -> bytes:
    """Return the image archive, including the entry of its folder."""
    return packed({"val2017/": b"", **{f"val2017/{name}": data for name, data in PICTURES.items()}, **(extra or {})})


def annotations() -> bytes:
    """Return the annotation archive, which contains more than one set's keypoints."""
    names = ("person_keypoints_val2017", "person_keypoints_train2017", "instances_val2017", "captions_val2017")
    return packed({f"annotations/{name}.json": json.dumps(TRUTH).encode() for name in names})


def row(path: str, content: bytes) -> Archive:
    """Return an archive as described in the table."""
    return Archive(path, len(content), sha256(content).hexdigest())


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The publisher, with a val2017 of four images and a train2017 that shares its annotations."""
    files = {"annotations_trainval2017.zip": annotations(), "val2017.zip": pictures()}
    truth, images = row("annotations/annotations_trainval2017.zip", annotations()), row("zips/val2017.zip", pictures())
    pieces = {name: replace(SETS[name][0], archive=truth, size=100) for name in ("val2017", "train2017")}
    for name, piece in pieces.items():
        folder = DatasetPart(images, "val2017", f"images/{name}", len(PICTURES), images.size)
        monkeypatch.setitem(SETS, name, (piece, folder))  # type: ignore[arg-type]
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with server.running() as found:
        found.files.update(files)
        monkeypatch.setattr(coco, "SITE", found.url)
        yield found


@pytest.fixture
def job(tmp_path: Path) -> DataJob:
    """A job that downloads val2017 into an empty folder."""
    return DataJob(("val2017",), tmp_path / "coco", downloads=QUICK)


def tpose(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, ["data", *map(str, arguments)], env={"TPOSE_OFFLINE": "0"})


def assert_whole(folder: Path) -> None:
    """Check that exactly the images and annotations of val2017 are present, byte for byte."""
    files = {path.name: path.read_bytes() for path in (folder / "images" / "val2017").iterdir()}
    assert files == PICTURES
    assert [path.name for path in (folder / "annotations").iterdir()] == ["person_keypoints_val2017.json"]
    assert json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text()) == TRUTH


def test_set_is_unpacked_into_the_authors_layout(site: Server, tmp_path: Path) -> None:
    result = tpose("coco", "val2017", "--data-dir", tmp_path)

    assert result.exit_code == 0, result.output
    assert_whole(tmp_path)
    assert not list((tmp_path / "archives").glob("*.zip*"))
    size = (len(pictures()) + len(annotations())) / 1e9
    first, last = result.output.splitlines()[2], result.output.splitlines()[-1]
    assert f"total: {size:.2f} GB to download" in first and "GB free" in first
    assert "COCO_val2017_detections_AP_H_56_person.json: missing" in last and "deep-high-resolution-net" in last


def test_second_run_downloads_nothing(site: Server, job: DataJob) -> None:
    get_datasets(job, plan_downloads(job))
    asked = len(site.requests)

    assert plan_downloads(job) == []
    result = tpose("coco", "val2017", "--data-dir", job.folder)
    assert result.exit_code == 0 and "nothing to download" in result.output
    assert len(site.requests) == asked


def test_dry_run_reports_sizes_and_changes_nothing(site: Server, tmp_path: Path) -> None:
    result = tpose("coco", "val2017", "--data-dir", tmp_path / "coco", "--dry-run")

    assert result.exit_code == 0 and "to download" in result.output
    assert site.requests == [] and not (tmp_path / "coco").exists()


def test_interrupted_download_is_resumed(site: Server, job: DataJob) -> None:
    site.plan += [server.serve, server.cut(5000)]

    get_datasets(job, plan_downloads(job))

    assert_whole(job.folder)
    assert site.header_values("Range") == [None, None, "bytes=5000-"]


def test_planned_sizes_exclude_present_files(site: Server, job: DataJob) -> None:
    whole = plan_downloads(job)
    part = job.archive(whole[1].archive).with_name("val2017.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(pictures()[:1000])

    begun = plan_downloads(job)

    assert [step.to_fetch for step in whole] == [len(annotations()), len(pictures())]
    assert begun[1].to_fetch == len(pictures()) - 1000
    assert peak_bytes(whole, keep_archives=True) == sum(step.to_fetch + step.to_write for step in whole)
    assert peak_bytes(whole, keep_archives=False) == peak_bytes(whole, keep_archives=True) - len(annotations())


def test_archive_with_a_wrong_digest_is_refused(site: Server, job: DataJob) -> None:
    site.plan += [server.serve, server.corrupt, server.corrupt, server.corrupt]

    with pytest.raises(DownloadError, match=r"SHA-256 \w{64}, expected \w{64}.*put it at .*archives/val2017\.zip"):
        get_datasets(job, plan_downloads(job))

    assert not (job.folder / "images").exists()


def test_archives_can_be_kept_and_provided_manually(site: Server, job: DataJob) -> None:
    kept = replace(job, keep_archives=True)
    get_datasets(kept, plan_downloads(kept))
    assert {path.name for path in (job.folder / "archives").glob("*.zip")} == set(site.files)
    shutil.rmtree(job.folder / "images")
    site.requests.clear()

    offline = replace(job, downloads=replace(QUICK, offline=True))
    get_datasets(offline, plan_downloads(offline))

    assert_whole(job.folder)
    assert site.requests == []


def test_two_sets_share_an_archive(site: Server, job: DataJob) -> None:
    both = replace(job, sets=("val2017", "train2017"))

    get_datasets(both, plan_downloads(both))

    assert len(list((job.folder / "annotations").iterdir())) == 2
    assert len(site.requests) == 2


def test_offline_error_lists_the_archives(site: Server, job: DataJob) -> None:
    offline = replace(job, downloads=replace(QUICK, offline=True))

    with pytest.raises(DownloadError, match=r"trainval2017\.zip and put it at .*/val2017\.zip and put it at"):
        get_datasets(offline, plan_downloads(offline))

    assert site.requests == [] and not job.folder.exists()


def test_full_disk_is_detected_before_the_download(site: Server, job: DataJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))  # type: ignore[attr-defined]

    with pytest.raises(DownloadError, match="0 MB are free; free some space, or name another folder with --data-dir"):
        get_datasets(job, plan_downloads(job))

    assert site.requests == []


def test_unpacking_continues_after_a_kill(site: Server, job: DataJob, tmp_path: Path) -> None:
    archive = tmp_path / "val2017.zip"
    archive.write_bytes(pictures())
    folder = job.folder / "images" / "val2017"
    folder.mkdir(parents=True)
    first, second, *_ = PICTURES
    (folder / first).write_bytes(PICTURES[first])
    (folder / second).write_bytes(PICTURES[second][:7])
    written = (folder / first).stat().st_mtime_ns

    unpack(archive, [SETS["val2017"][1]], job.folder, no_progress)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PICTURES
    assert (folder / first).stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "member",
    [
        "../evil.jpg",
        "/tmp/evil.jpg",
        "val2017/../../evil.jpg",
        "val2017/sub/evil.jpg",
        "val2017/..\\evil.jpg",
        "evil.jpg",
    ],
)
def test_no_archive_writes_outside_its_folder(job: DataJob, tmp_path: Path, site: Server, member: str) -> None:
    archive = tmp_path / "inside" / "val2017.zip"
    archive.parent.mkdir()
    archive.write_bytes(pictures({member: b"evil"}))

    unpack(archive, [SETS["val2017"][1]], job.folder, no_progress)

    assert {path.name for path in (job.folder / "images" / "val2017").iterdir()} == set(PICTURES)
    assert not [path for path in tmp_path.rglob("*evil*")] and not Path("/tmp/evil.jpg").exists()


def test_damaged_archive_is_detected_by_its_crc(job: DataJob, tmp_path: Path, site: Server) -> None:
    archive = tmp_path / "val2017.zip"
    content = bytearray(pictures())
    content[content.index(PICTURES["000000000285.jpg"]) + 9] ^= 1
    archive.write_bytes(content)

    with pytest.raises(InputError, match=r"val2017\.zip: the archive is damaged .*000000000285.*delete it"):
        unpack(archive, [SETS["val2017"][1]], job.folder, no_progress)

    assert [path.name for path in (job.folder / "images" / "val2017").iterdir()] == ["000000000139.jpg"]


def test_archive_of_wrong_size_or_content_is_refused(site: Server, job: DataJob) -> None:
    archive = job.archive(SETS["val2017"][0].archive)
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"expected \d+ bytes, got 6"):
        get_datasets(job, plan_downloads(job))

    archive.write_bytes(packed({"annotations/captions_val2017.json": b"{}"}))
    with pytest.raises(InputError, match=r"expected 1 file\(s\) of annotations, got 0.*delete it"):
        unpack(archive, [SETS["val2017"][0]], job.folder, no_progress)


def test_check_names_what_is_missing(site: Server, tmp_path: Path) -> None:
    assert tpose("coco", "val2017", "--data-dir", tmp_path).exit_code == 0
    detections = tmp_path / "person_detection_results" / "COCO_val2017_detections_AP_H_56_person.json"
    detections.parent.mkdir()
    detections.write_text("[]")
    whole = tpose("check", "--data-dir", tmp_path)
    assert whole.exit_code == 0 and "4 images" in whole.output

    (tmp_path / "images" / "val2017" / "000000000285.jpg").unlink()
    (tmp_path / "images" / "val2017" / "000000000632.jpg").write_bytes(b"")
    detections.write_text('[{"image_id": 1')
    lacking = tpose("check", "val2017", "--data-dir", tmp_path)

    assert lacking.exit_code == 1
    assert "2 of 4 images are missing, for example 000000000285.jpg, 000000000632.jpg" in lacking.output
    assert "download it with: tpose data coco val2017" in lacking.output
    assert "person.json: truncated, or not JSON; it is published on the OneDrive" in lacking.output


def test_check_of_an_empty_folder_reports_val2017(tmp_path: Path) -> None:
    result = tpose("check", "--data-dir", tmp_path)

    assert result.exit_code == 1
    assert "all 5000 images are missing" in result.output and "AP 56.4" in result.output
    with pytest.raises(UsageError, match="known sets: val2017, train2017"):
        check_set(tmp_path, "val2014")


def test_zipped_images_count_as_present(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "val2017.zip").write_bytes(pictures())

    assert f"{tmp_path / 'images' / 'val2017'}: present as a zip file" in tpose("check", "--data-dir", tmp_path).output


def test_killed_run_is_continued(site: Server, tmp_path: Path) -> None:
    """The whole command, killed in the middle of the second archive and run again."""
    program = (
        "import sys, dataclasses; from tposecli.hub.datasets import coco; from tposecli.cli.main import main\n"
        f"coco.SITE = {site.url!r}\n"
        f"truth, images = ({', '.join(repr(piece.archive) for piece in SETS['val2017'])})\n"
        "old = coco.SETS['val2017']\n"
        "coco.SETS['val2017'] = (dataclasses.replace(old[0], archive=truth),\n"
        f"    dataclasses.replace(old[1], archive=images, count={len(PICTURES)}))\n"
        f"sys.argv = ['tpose', 'data', 'coco', 'val2017', '--data-dir', {str(tmp_path)!r}]; main()"
    ).replace("Archive(", "coco.Archive(")
    run = [sys.executable, "-c", program]
    environment = {**os.environ, "TPOSE_OFFLINE": "0"}
    site.plan += [server.serve, server.stall(5000)]
    with subprocess.Popen(run, env=environment, stdout=subprocess.DEVNULL) as first:
        part = tmp_path / "archives" / "val2017.zip.part"
        until = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size == 5000) and time.monotonic() < until:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)

    subprocess.run(run, env=environment, check=True, capture_output=True)

    assert_whole(tmp_path)
    assert site.header_values("Range")[-1] == "bytes=5000-" and len(site.requests) == 3


def test_every_published_set_is_complete_in_the_table() -> None:
    for name, pieces in SETS.items():
        folders = [piece.folder for piece in pieces]
        assert folders == ["annotations", f"images/{name.replace('-dev', '')}"]
        assert all(len(piece.archive.sha256) == 64 and piece.archive.size > 10**6 for piece in pieces)
        assert all(not piece.names or len(piece.names) == piece.count for piece in pieces)
