"""Downloads from a local server that interrupts, corrupts, redirects, stalls and lies."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from tests.support import server
from tests.support.server import Server
from tposecli.cli.main import cli
from tposecli.hub.checkpoints.resolve import AUTO_STAMP, Checkpoint, fetch, resolve, verify_file
from tposecli.hub.download.download import RemoteFile, candidate_urls, find_damage
from tposecli.hub.download.options import Downloads, RetryPolicy
from tposecli.hub.download.part import note_path, part_path
from tposecli.hub.download.request import RequestError, redacted_url
from tposecli.models import find_spec
from tposecli.models.catalog import AUTO_BUNDLED
from tposecli.utils.errors import TposeError, UsageError, WeightsError

QUICK = RetryPolicy(connect_s=2, stall_s=0.3, tries=3, pause_s=0.01)
NAME = "small.pth"
BUNDLED = AUTO_BUNDLED
OFFICIAL = find_spec("transpose-r-a4")


def checkpoint(size: int = 200_000, seed: int = 0) -> bytes:
    """Return a file as PyTorch writes it: a zip archive, here of noise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), random.Random(seed).randbytes(size))
    return buffer.getvalue()


CONTENT = checkpoint()
DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; only the name of this machine can be resolved."""
    lookup = socket.getaddrinfo

    def local(host: Any, *rest: Any, **options: Any) -> Any:
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    monkeypatch.delenv("TPOSE_OFFLINE")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def web(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server.running(certificate) as running:
        running.files[NAME] = CONTENT
        yield running


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def get(web: Server, digest: str = "", **options: Any) -> Path:
    """Fetch the small file with short timeouts."""
    remote = RemoteFile("small", NAME, f"{web.url}/{NAME}", digest, min_bytes=1000)
    return fetch(remote, Downloads(retry=QUICK), **options)


def left(cache: Path) -> set[str]:
    """Return the names of the files in the cache."""
    return {path.name for path in cache.iterdir() if path.is_file()}


# ----------------------------------------------------------------------------------------------------------- transfer


def test_file_is_downloaded_and_its_digest_recorded(web: Server, cache: Path) -> None:
    assert get(web).read_bytes() == CONTENT
    assert left(cache) == {NAME, "digests.json"}
    assert json.loads((cache / "digests.json").read_text()) == {NAME: DIGEST}
    assert get(web) == cache / NAME and len(web.requests) == 1


def test_progress_is_reported(web: Server) -> None:
    seen: list[int] = []

    @contextmanager
    def bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        assert (label, total) == ("small", len(CONTENT))
        yield seen.append

    fetch(RemoteFile("small", NAME, f"{web.url}/{NAME}"), Downloads(bar=bar))
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == len(CONTENT)


def test_interrupted_transfer_is_resumed_immediately(web: Server) -> None:
    web.plan = [server.cut(70_000), server.status(503)]
    assert get(web).read_bytes() == CONTENT
    assert web.header_values("Range") == [None, "bytes=70000-", "bytes=70000-"]
    assert web.header_values("If-Range")[2] == server.tag(CONTENT)


def test_interrupted_transfer_is_resumed_by_the_next_run(web: Server, cache: Path) -> None:
    web.plan = [server.cut(70_000), server.status(503), server.status(503)]
    with pytest.raises(WeightsError, match="HTTP 503"):
        get(web)
    assert part_path(cache / NAME).stat().st_size == 70_000
    assert get(web).read_bytes() == CONTENT
    assert web.header_values("Range")[-1] == "bytes=70000-"
    assert left(cache) == {NAME, "digests.json"}


def test_number_of_attempts_is_limited(web: Server) -> None:
    web.plan = [server.cut(10)] * 9
    with pytest.raises(WeightsError, match=r"interrupted after 10 of \d+ bytes"):
        get(web)
    assert len(web.requests) == QUICK.tries


@pytest.mark.parametrize("behave", [server.ignore_range, server.wrong_range, server.ignore_condition])
def test_changed_file_is_not_appended_to_the_old_part(web: Server, behave: server.Behaviour) -> None:
    web.plan = [server.cut(70_000), behave]
    web.files[NAME] = old = checkpoint(seed=1)

    def change(handler: server.Handler, content: bytes) -> None:
        web.files[NAME] = CONTENT
        behave(handler, CONTENT)

    web.plan[1] = change
    assert get(web).read_bytes() == CONTENT != old


def test_without_validator_an_unknown_file_is_not_resumed(web: Server) -> None:
    web.plan = [server.cut(70_000, etag=False)]
    assert get(web).read_bytes() == CONTENT
    assert web.header_values("Range") == [None, None]


def test_without_validator_a_known_file_is_resumed_and_checked(web: Server) -> None:
    web.plan = [server.cut(70_000, etag=False)]
    assert get(web, DIGEST).read_bytes() == CONTENT
    assert web.header_values("Range") == [None, "bytes=70000-"]


def leave_part(cache: Path, content: bytes, source: str = "https://elsewhere.example/file") -> None:
    """Leave what another download has left: the received part and its note."""
    cache.mkdir(exist_ok=True)
    part = part_path(cache / NAME)
    part.write_bytes(content)
    note_path(part).write_text(json.dumps({"source": source, "validator": "", "size": None}))


@pytest.mark.parametrize("note", [None, "mine", '{"a": 1}', "[" * 9000, "link"])
@pytest.mark.parametrize("digest", ["", DIGEST])
def test_a_foreign_part_is_neither_replaced_nor_removed(
    web: Server, cache: Path, tmp_path: Path, note: str | None, digest: str
) -> None:
    cache.mkdir()
    part = part_path(cache / NAME)
    part.write_bytes(b"half of somebody's own download")
    if note == "link":
        (tmp_path / "linked").write_text(json.dumps({"source": "", "validator": "", "size": None}))
        note_path(part).symlink_to(tmp_path / "linked")
    elif note is not None:
        note_path(part).write_text(note)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    with pytest.raises(WeightsError, match=r"\.part.*: not from a download of this program; move it"):
        get(web, digest)
    assert before.items() <= {path.name: path.read_bytes() for path in cache.iterdir() if path.is_file()}.items()
    assert not web.requests


def test_mismatched_parts_are_downloaded_again(web: Server, cache: Path) -> None:
    leave_part(cache, b"x" * 70_000)
    assert get(web, DIGEST[:8]).read_bytes() == CONTENT
    assert web.header_values("Range") == ["bytes=70000-", None]


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 1])
def test_complete_or_oversized_part_is_recovered(web: Server, cache: Path, size: int) -> None:
    web.plan = [server.cut(70_000), server.status(404)]
    with pytest.raises(WeightsError):
        get(web)
    part_path(cache / NAME).write_bytes((CONTENT + b"x")[:size])
    assert get(web).read_bytes() == CONTENT


def test_range_beyond_the_end_restarts(web: Server, cache: Path) -> None:
    leave_part(cache, CONTENT + b"more")
    assert get(web, DIGEST).read_bytes() == CONTENT
    assert len(web.requests) == 2


def test_corrupted_file_is_deleted(web: Server, cache: Path) -> None:
    web.plan = [server.corrupt]
    with pytest.raises(
        WeightsError, match=rf"deleted: SHA-256 [0-9a-f]{{64}}, expected {DIGEST}.* put it at"
    ) as caught:
        get(web, DIGEST)
    assert f"{web.url}/{NAME}" in str(caught.value)
    assert left(cache) == set()


def test_content_length_too_long_counts_as_interruption(web: Server) -> None:
    web.plan = [server.claim(len(CONTENT) + 5)] * 3
    with pytest.raises(WeightsError, match="interrupted after"):
        get(web)


@pytest.mark.parametrize(("digest", "says"), [("", "its end is missing"), (DIGEST, "expected")])
def test_content_length_too_short_is_detected(web: Server, cache: Path, digest: str, says: str) -> None:
    web.plan = [server.claim(len(CONTENT) - 1000)]
    with pytest.raises(WeightsError, match=says):
        get(web, digest)
    assert left(cache) == set()


def test_file_without_content_length_is_downloaded(web: Server) -> None:
    web.plan = [server.no_length]
    assert get(web).read_bytes() == CONTENT


def test_unfinished_chunks_count_as_interruption(web: Server) -> None:
    web.plan = [server.cut_chunks]
    assert get(web).read_bytes() == CONTENT
    assert len(web.requests) == 2


@pytest.mark.parametrize(("after", "says"), [(70_000, "stalled"), (-1, "no response for 0.3 s")])
def test_stalled_transfer_times_out(web: Server, after: int, says: str) -> None:
    web.plan = [server.stall(after)] * 3
    start = time.perf_counter()
    with pytest.raises(WeightsError, match=says):
        get(web)
    assert time.perf_counter() - start < 5


def test_stall_is_resumed(web: Server) -> None:
    web.plan = [server.stall(70_000)]
    assert get(web).read_bytes() == CONTENT
    assert web.header_values("Range") == [None, "bytes=70000-"]


def test_html_page_is_refused(web: Server, cache: Path) -> None:
    web.plan = [server.page]
    with pytest.raises(WeightsError, match="a web page instead of the file"):
        get(web)
    assert left(cache) == set()


def test_retry_after_is_respected(web: Server) -> None:
    web.plan = [server.status(429, Retry_After=1)]
    start = time.perf_counter()
    get(web)
    assert 1 <= time.perf_counter() - start < 3


def test_missing_file_is_not_retried(web: Server) -> None:
    web.plan = [server.status(404)]
    with pytest.raises(WeightsError, match="HTTP 404"):
        get(web)
    assert len(web.requests) == 1


# --------------------------------------------------------------------------------------- redirects, TLS, proxies, names


def test_redirects_are_followed_with_the_range(web: Server) -> None:
    web.plan = [server.redirect(f"{web.url}/elsewhere/{NAME}?signature=secret"), server.cut(70_000)]
    web.plan += [server.redirect(f"{web.url}/elsewhere/{NAME}")]
    assert get(web).read_bytes() == CONTENT
    assert web.header_values("Range") == [None, None, "bytes=70000-", "bytes=70000-"]


def test_redirect_loops_end(web: Server) -> None:
    web.plan = [server.redirect(f"{web.url}/{NAME}")] * 30
    with pytest.raises(WeightsError, match="HTTP 302"):
        get(web)
    assert len(web.requests) < 15


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_to_other_schemes_are_refused(web: Server, to: str) -> None:
    web.plan = [server.redirect(to)]
    with pytest.raises(WeightsError, match=r"refused|HTTP 302"):
        get(web)


def test_certificates_are_verified_even_if_disabled_globally(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    with server.running(certificate) as web:
        web.files[NAME] = CONTENT
        with pytest.raises(WeightsError, match=r"certificate of 127\.0\.0\.1 is not trusted.*SSL_CERT_FILE"):
            get(web)
        assert not web.requests
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert get(web).read_bytes() == CONTENT


def test_redirect_from_https_to_http_is_refused(
    certificate: Path, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server.running(certificate) as secure, server.running() as plain:
        secure.plan = [server.redirect(f"{plain.url}/{NAME}?key=secret")]
        with pytest.raises(WeightsError, match="refused: redirect from https to http") as caught:
            get(secure)
    assert not plain.requests and "secret" not in str(caught.value)


def test_proxy_from_the_environment_is_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.running() as web:
        web.files[NAME] = CONTENT
        monkeypatch.setenv("http_proxy", web.url.replace("//", "//me:pass@"))
        assert fetch(RemoteFile("small", NAME, f"http://weights.invalid/{NAME}", DIGEST)).read_bytes() == CONTENT
        assert web.requests[0][0] == f"http://weights.invalid/{NAME}"
        assert web.header_values("Proxy-Authorization") == ["Basic bWU6cGFzcw=="]


def test_nothing_is_taken_on_trust_over_plain_http(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody on the way could exchange it; a file with a known digest is another matter."""
    with server.running() as plain:
        plain.files[NAME] = CONTENT
        monkeypatch.setenv("TPOSE_MIRRORS", plain.url)
        with pytest.raises(WeightsError, match="refused: plain http"):
            fetch(RemoteFile("small", NAME, f"{plain.url}/{NAME}"))
        assert not plain.requests and not (cache / NAME).exists()
        assert fetch(RemoteFile("small", NAME, "https://weights.invalid/", DIGEST)).read_bytes() == CONTENT


def test_first_use_without_a_digest_is_said_in_words(web: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tposecli"):
        get(web)
    assert "taken on trust at first use" in caplog.text and DIGEST in caplog.text


def test_a_password_in_a_redirect_is_not_shown(web: Server, caplog: pytest.LogCaptureFixture) -> None:
    web.plan = [server.redirect("https://user:hidden@127.0.0.1:1/x")]
    with caplog.at_level("DEBUG"), pytest.raises(WeightsError) as caught:
        get(web)
    assert "hidden" not in str(caught.value) + caplog.text and "cannot be reached" in str(caught.value)


@pytest.mark.parametrize("mirror", ["http://[::1", "https://h:port", "https://", "https://[x]/"])
def test_a_mirror_that_is_no_url_is_a_usage_error(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_MIRRORS", mirror)
    with pytest.raises(UsageError, match="entry 1 is not a valid URL"):
        candidate_urls(RemoteFile("x", NAME, "https://c/small.pth"))


def test_a_token_of_a_mirror_stays_behind_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_MIRRORS", "https://h/deep/?token=1")
    assert candidate_urls(RemoteFile("x", NAME, "https://c/y"))[0] == f"https://h/deep/{NAME}?token=1"


def test_unreachable_host_error_is_one_sentence(cache: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(WeightsError) as caught:
        fetch(RemoteFile("model", NAME, f"https://weights.invalid/{NAME}"))
    assert time.perf_counter() - start < 1
    assert str(caught.value) == (
        "model: the download failed (weights.invalid cannot be reached (Name or service not known)); "
        f"download https://weights.invalid/{NAME} and put it at {cache / NAME}"
    )


def test_refused_connection_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1 cannot be reached \(Connection refused\)"):
        fetch(RemoteFile("model", NAME, f"https://127.0.0.1:{port}/{NAME}"))


def test_redacted_url_has_no_secrets() -> None:
    assert redacted_url("https://me:pass@host:8443/a/b.pth?key=secret#x") == "https://host:8443/a/b.pth"


# ------------------------------------------------------------------------------------------------------------ mirrors


def test_mirrors_come_first_and_a_failing_one_is_skipped(
    web: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.running() as mirror:
        mirror.files[NAME] = checkpoint(seed=1)
        monkeypatch.setenv("TPOSE_MIRRORS", f"{mirror.url.replace('//', '//me:s%40fe@')}/deep/ , {mirror.url}/no,")
        mirror.plan = [server.serve, server.status(404)]
        assert get(web, DIGEST).read_bytes() == CONTENT
    assert [path for path, _ in mirror.requests] == [f"/deep/{NAME}", f"/no/{NAME}"]
    assert mirror.header_values("Authorization") == ["Basic bWU6c0BmZQ==", None]
    assert web.header_values("Authorization") == [None]


def test_password_of_a_mirror_is_neither_logged_nor_forwarded(
    web: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    web.plan = [server.redirect(f"{web.url}/x/{NAME}"), server.status(404), server.status(404)]
    monkeypatch.setenv("TPOSE_MIRRORS", web.url.replace("//", "//me:hidden@"))
    with caplog.at_level("DEBUG"), pytest.raises(WeightsError) as caught:
        get(web)
    assert "hidden" not in str(caught.value) + caplog.text
    assert web.header_values("Authorization")[1] is None


def test_mirror_must_be_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOSE_MIRRORS", "https://a, ftp://me:hidden@b")
    with pytest.raises(UsageError, match="entry 2") as caught:
        candidate_urls(RemoteFile("x", NAME, "https://c/small.pth"))
    assert "hidden" not in str(caught.value)


# --------------------------------------------------------------------------------------------------- disk and processes


def test_full_disk_is_detected_before_the_transfer(web: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match="MB are needed, 0 MB are free"):
        get(web)
    assert NAME not in left(cache)


def test_unwritable_folder_is_named(web: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="set TPOSE_HOME"):
        get(web)
    assert not web.requests


def test_two_processes_download_once(web: Server, cache: Path) -> None:
    def slowly(handler: server.Handler, content: bytes) -> None:
        time.sleep(1.5)
        server.serve(handler, content)

    web.plan = [slowly, slowly]
    program = (
        "import sys; from tposecli.hub.checkpoints.resolve import fetch;"
        "from tposecli.hub.download.download import RemoteFile;"
        f"print(fetch(RemoteFile('small', {NAME!r}, sys.argv[1])).stat().st_size)"
    )
    command = [sys.executable, "-c", program, f"{web.url}/{NAME}"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == [str(len(CONTENT))] * 2
    assert len(web.requests) == 1


def test_lock_of_a_dead_process_is_released(web: Server, cache: Path) -> None:
    program = (
        "import os, pathlib, sys; from tposecli.utils.locks import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(cache / NAME)], check=False)
    assert (cache / "locks" / NAME).exists()
    assert get(web).read_bytes() == CONTENT


# ------------------------------------------------------------------------------------------------------------ digests


def test_changed_file_is_refused_after_its_first_use(web: Server) -> None:
    path = get(web)
    assert verify_file(path) == DIGEST
    path.write_bytes(checkpoint(seed=1))
    with pytest.raises(WeightsError, match=f"changed since its first use.*expected {DIGEST}"):
        verify_file(path)


def test_deleted_file_must_match_its_recorded_digest(web: Server, cache: Path) -> None:
    get(web).unlink()
    web.files[NAME] = other = checkpoint(seed=1)
    with pytest.raises(WeightsError, match=f"expected {DIGEST}"):
        get(web)
    assert get(web, force=True).read_bytes() == other
    assert verify_file(cache / NAME) == sha256(other).hexdigest()


def test_failed_forced_download_keeps_the_old_file(web: Server, cache: Path) -> None:
    get(web)
    web.plan = [server.status(404)]
    with pytest.raises(WeightsError):
        get(web, force=True)
    assert verify_file(cache / NAME) == DIGEST


def test_manually_added_file_is_recorded_unless_visibly_damaged(cache: Path) -> None:
    cache.mkdir()
    path = cache / OFFICIAL.file
    path.write_bytes(CONTENT[:-100])
    Checkpoint(OFFICIAL, path).verify()
    assert not (cache / "digests.json").exists()
    path.write_bytes(official())
    Checkpoint(OFFICIAL, path).verify()
    assert list(json.loads((cache / "digests.json").read_text())) == [OFFICIAL.file]
    path.write_bytes(official()[:-1])
    with pytest.raises(WeightsError, match="first use"):
        Checkpoint(OFFICIAL, path).verify()


def test_damaged_digest_record_raises(cache: Path) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT)
    for damaged in ("{", "[]", '{"a": 1}'):
        (cache / "digests.json").write_text(damaged)
        with pytest.raises(WeightsError, match=r"digests\.json.*delete it"):
            verify_file(cache / NAME)


@pytest.mark.parametrize(
    ("content", "suffix", "says"),
    [
        (CONTENT, ".pth", ""),
        (b"\x80\x02" + b"x" * 2000, ".pth", ""),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{" + b"x" * 2000, ".safetensors", ""),
        (CONTENT[:-30], ".pt", "its end is missing"),
        (b"", ".pth", "too small"),
        (b"x" * 2000, ".pth", "not a PyTorch checkpoint"),
        (CONTENT, ".safetensors", "not a safetensors file"),
    ],
)
def test_damage_is_found_without_loading(tmp_path: Path, content: bytes, suffix: str, says: str) -> None:
    path = tmp_path / "file.part"
    path.write_bytes(content)
    assert says in find_damage(path, suffix, 1000) and bool(says) == bool(find_damage(path, suffix, 1000))


# ------------------------------------------------------------------------------------------------------ model and auto


def official() -> bytes:
    """Content as large as the official R-A4."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data/0"), bytes(OFFICIAL.min_bytes))
    return buffer.getvalue()


@pytest.fixture
def mirror(web: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that mirrors the official R-A4."""
    web.files[OFFICIAL.file] = official()
    monkeypatch.setenv("TPOSE_MIRRORS", web.url)
    return web


def test_named_model_is_downloaded_on_demand(mirror: Server, cache: Path) -> None:
    found = resolve(OFFICIAL.name)
    assert found.path == cache / OFFICIAL.file
    assert found.verify() == sha256(official()).hexdigest()


def test_auto_downloads_the_official_model_once(mirror: Server, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tposecli"):
        assert [resolve().spec.name, resolve().spec.name] == [OFFICIAL.name] * 2
    assert len(mirror.requests) == 1
    assert f"model: {OFFICIAL.name} (official weights)" in caplog.messages


def test_auto_gives_up_for_a_day(cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    with caplog.at_level("INFO", "tposecli"):
        assert resolve().spec.name == BUNDLED
    said = [message for message in caplog.messages if message.startswith("model:")]
    assert len(said) == 1 and "github.com cannot be reached" in said[0] and "tpose weights pull" in said[0]
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("tried again"))
        assert resolve().spec.name == BUNDLED
    yesterday = time.time() - 25 * 3600
    os.utime(cache / AUTO_STAMP, (yesterday, yesterday))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(OSError("asked")))
        caplog.clear()
        with caplog.at_level("INFO", "tposecli"):
            resolve()
    assert "asked" in caplog.text


def test_auto_waits_five_seconds_to_connect_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def connect(address: Any, timeout: float, *_: object) -> NoReturn:
        limits.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    assert resolve().spec.name == BUNDLED
    assert limits == [5.0]


def test_auto_works_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TPOSE_HOME", str(tmp_path / "file"))
    assert resolve().spec.name == BUNDLED


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_opens_no_socket(cache: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert resolve("auto", None, Downloads(offline=True)).spec.name == BUNDLED
    monkeypatch.setenv("TPOSE_OFFLINE", value)
    assert resolve().spec.name == BUNDLED
    with pytest.raises(WeightsError, match=r"TPOSE_OFFLINE.*download https://github\.com/\S+ and put it at "):
        resolve(OFFICIAL.name)
    assert not cache.exists()


# -------------------------------------------------------------------------------------------------------- command line


def tpose(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_pull_list_verify_path(mirror: Server, cache: Path) -> None:
    assert isinstance(tpose("weights", "path", OFFICIAL.name).exception, WeightsError)
    done = tpose("weights", "pull", OFFICIAL.name, BUNDLED)
    assert done.exit_code == 0 and done.stdout.split()[0] == str(cache / OFFICIAL.file)
    assert tpose("weights", "path", OFFICIAL.name).stdout == f"{cache / OFFICIAL.file}\n"
    listed = tpose("weights", "list").stdout
    assert "recorded" in listed and "pinned" in listed and OFFICIAL.file in listed and f"cache: {cache}\n" in listed
    assert listed.count("absent") == 4
    everything = tpose("weights", "list", "--verbose").stdout
    assert f"{OFFICIAL.name}: {cache / OFFICIAL.file}\n" in everything and "https://" in everything
    checked = tpose("weights", "verify")
    assert checked.exit_code == 0 and "as at its first use" in checked.stdout and "as published" in checked.stdout
    (cache / OFFICIAL.file).write_bytes(official()[:-1])
    wrong = tpose("weights", "verify", OFFICIAL.name)
    assert wrong.exit_code == 1 and "first use" in wrong.stderr
    assert tpose("weights", "pull", "--force", "--quiet", OFFICIAL.name).output == ""
    assert tpose("weights", "verify", OFFICIAL.name).exit_code == 0


@pytest.mark.usefixtures("no_sockets")
def test_offline_pull_error_says_where_to_put_the_file(cache: Path) -> None:
    failed = tpose("weights", "pull", OFFICIAL.name, "--offline")
    assert isinstance(failed.exception, TposeError) and str(cache / OFFICIAL.file) in str(failed.exception)


def test_add_copies_a_file_into_the_cache(cache: Path, tmp_path: Path) -> None:
    mine = tmp_path / OFFICIAL.file
    mine.write_bytes(official())
    assert tpose("weights", "add", mine).stdout == f"{OFFICIAL.name}: {cache / OFFICIAL.file}\n"
    assert resolve().path.read_bytes() == mine.read_bytes()
    other = tmp_path / "other.pth"
    other.write_bytes(official() + b"\x00" * 10)
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("more", "x")
    assert "--model" in str(tpose("weights", "add", other).exception)
    assert "--replace" in str(tpose("weights", "add", other, "--model", OFFICIAL.name).exception)
    assert tpose("weights", "add", other, "--model", OFFICIAL.name, "--replace").exit_code == 0
    assert resolve().verify() == sha256(other.read_bytes()).hexdigest()


def test_add_refuses_invalid_files(tmp_path: Path) -> None:
    small = tmp_path / OFFICIAL.file
    small.write_bytes(CONTENT)
    assert "too small" in str(tpose("weights", "add", small).exception)
    assert "bundled with the program" in str(tpose("weights", "add", small, "--model", BUNDLED).exception)
    torchvision = tmp_path / "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"
    torchvision.write_bytes(CONTENT)
    assert "expected a79551df" in str(tpose("weights", "add", torchvision).exception)


def test_detectors_of_other_libraries_are_downloaded_too(
    web: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TPOSE_MIRRORS", web.url)
    web.files["yolo26n.pt"] = web.files["ssdlite320_mobilenet_v3_large_coco-a79551df.pth"] = CONTENT
    assert tpose("weights", "pull", "yolo:yolo26n").exit_code == 0
    assert (cache / "yolo26n.pt").read_bytes() == CONTENT
    wrong = tpose("weights", "pull", "torchvision:ssdlite320_mobilenet_v3_large")
    assert f"SHA-256 {DIGEST}, expected a79551df" in str(wrong.exception)
    assert isinstance(tpose("weights", "pull", "yolo:yolo26n-cls").exception, UsageError)
    (cache / "yolo26n.pt").write_bytes(checkpoint(seed=1))
    from tposecli.detection.yolo import find_model

    with pytest.raises(WeightsError, match="changed since its first use"):
        find_model("yolo26n")


def test_run_downloads_the_model_it_names(mirror: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import torch

    from tposecli.models import build

    torch.save(build(OFFICIAL.name).state_dict(), tmp_path / "weights")
    mirror.files[OFFICIAL.file] = content = (tmp_path / "weights").read_bytes()
    assert OFFICIAL.min_bytes < len(content) < 1.1 * OFFICIAL.min_bytes
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((60, 45, 3), 99, np.uint8))
    command = ["images", tmp_path / "grey.png", "--json", tmp_path / "poses.json", "--detector", "full-frame"]
    command += ["--model", OFFICIAL.name, "--device", "cpu"]
    assert "forbids" in str(tpose(*command, "--offline").exception)
    assert not mirror.requests
    done = tpose(*command)
    assert done.exit_code == 0 and "downloading" in done.stderr
    assert sha256(content).hexdigest() in (tmp_path / "poses.json").read_text()


@pytest.mark.parametrize("command", ["weights", "weights list", "weights pull", "weights add"])
def test_help_imports_nothing_heavy(command: str) -> None:
    script = (
        "import sys; from tposecli.cli.main import cli\n"
        f"cli({[*command.split(), '--help']!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'rich', 'numpy', 'urllib.request'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_downloads_need_no_torch() -> None:
    script = "import sys, tposecli.hub.checkpoints.inventory; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_redirect_handler_refuses_plain_http() -> None:
    from tposecli.hub.download.request import _RedirectHandler

    request = urllib.request.Request("https://host/x")
    with pytest.raises(RequestError, match="from https to http"):
        _RedirectHandler().redirect_request(request, io.BytesIO(), 302, "", http_headers(), "http://host/x")


def http_headers() -> Any:
    import http.client

    return http.client.HTTPMessage()
