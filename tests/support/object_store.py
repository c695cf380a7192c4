"""A store that speaks S3: moto's server in a process of its own, which can be told to misbehave.

As a script: ``python -m tests.support.object_store PORT``. The object ``.faults`` of any bucket, a JSON object, is a
request to it: ``{"fail": 5, "method": "PUT", "key": "out"}`` answers the next five such requests with 500; ``delay_s``
makes every request wait; ``cut`` closes the connection in the middle of that many.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tester",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class ObjectStore:
    """A running server."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes clients use it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url, "TPOSE_OFFLINE": "0"}

    @property
    def client(self) -> Any:
        """A client of its own for the tests."""
        import boto3

        keys = {"aws_access_key_id": "tester", "aws_secret_access_key": "secret"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    def put(self, name: str, content: bytes) -> None:
        """Store an object, ``bucket/key``."""
        bucket, _, key = name.partition("/")
        self.client.create_bucket(Bucket=bucket)
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def get(self, name: str) -> bytes | None:
        """Return an object; None if there is none."""
        bucket, _, key = name.partition("/")
        try:
            return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except self.client.exceptions.NoSuchKey:
            return None

    def names(self, bucket: str) -> list[str]:
        """Return the keys in a bucket."""
        return [row["Key"] for row in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def delete(self, name: str) -> None:
        """Remove an object."""
        bucket, _, key = name.partition("/")
        self.client.delete_object(Bucket=bucket, Key=key)

    def misbehave(self, **faults: Any) -> None:
        """Misbehave from now on; without arguments, no more."""
        request = Request(f"{self.url}/any/.faults", data=json.dumps(faults).encode(), method="PUT")
        urlopen(request, timeout=20).close()

    def requests(self) -> list[str]:
        """Return method and path of the requests since the last call of this."""
        with urlopen(f"{self.url}/any/.requests", timeout=20) as response:
            found: list[str] = json.loads(response.read())
            return found


@contextmanager
def serving(folder: Path) -> Iterator[ObjectStore]:
    """Run a server on a free port, or skip the test and say why."""
    pytest.importorskip("moto", reason="moto is not installed (pip install 'moto[server]')")
    pytest.importorskip("s3fs", reason="s3fs is not installed (pip install 'tposecli[remote]')")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "store.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.support.object_store", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **CREDENTIALS})
    store = ObjectStore(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                store.misbehave()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "store.log").read_text()
                time.sleep(0.1)
        yield store
    finally:
        process.terminate()
        process.wait(timeout=20)


class Faults:
    """moto's application, behind faults."""

    def __init__(self, app: Any) -> None:
        self.app, self.faults, self.seen = app, {}, []  # type: ignore[var-annotated]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, or not."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.endswith("/.faults"):
            self.faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)))
            start_response("200 OK", [])
            return [b""]
        if path.endswith("/.requests"):
            seen, self.seen = self.seen, []
            start_response("200 OK", [])
            return [json.dumps(seen).encode()]
        self.seen.append(f"{method} {path}")
        time.sleep(self.faults.get("delay_s", 0))
        meant = self.faults.get("method", method) == method and self.faults.get("key", "") in path
        if meant and self.faults.get("refuse"):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            denied = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return [] if method == "HEAD" else [denied]
        if meant and self.faults.get("fail", 0) > 0:
            self.faults["fail"] -= 1
            start_response("500 Internal Server Error", [("Content-Type", "application/xml")])
            failed = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
            return [] if method == "HEAD" else [failed]
        if meant and self.faults.get("cut", 0) > 0:
            self.faults["cut"] -= 1
            environ["wsgi.input"].read(1000)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer


def main() -> None:
    """Serve on the port that is named."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    app = Faults(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)


if __name__ == "__main__":
    main()
