"""A local web server that can be told, request by request, to misbehave."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Behaviour = Callable[["Handler", bytes], None]


@dataclass
class Server:
    """The files, the planned responses, and the recorded requests."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    plan: list[Behaviour] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def header_values(self, header: str) -> list[str | None]:
        """Return one header of all requests so far."""
        return [headers.get(header.lower()) for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Answers as planned, and correctly once the plan is used up."""

    state: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve the file in the way that is next in the plan."""
        self.state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        behave = self.state.plan.pop(0) if self.state.plan else serve
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):
            behave(self, self.state.files.get(self.path.partition("?")[0].rpartition("/")[2], b""))

    def head(self, status: int, **headers: object) -> None:
        """Send status line and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def tag(content: bytes) -> str:
    """Return a strong ETag."""
    return f'"{sha256(content).hexdigest()[:16]}"'


def serve(handler: Handler, content: bytes) -> None:
    """Answer correctly, including ranges and their conditions."""
    if not content:
        handler.head(404, Content_Length=0)
        return
    header_values = handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    if header_values is None or (condition is not None and condition != tag(content)):
        handler.head(200, Content_Length=len(content), ETag=tag(content))
        handler.wfile.write(content)
        return
    first, _, last = header_values.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or len(content)) + 1, len(content))
    if start >= len(content):
        handler.head(416, Content_Length=0)
        return
    rest = content[start:end]
    span = f"bytes {start}-{end - 1}/{len(content)}"
    handler.head(206, Content_Length=len(rest), Content_Range=span, ETag=tag(content))
    handler.wfile.write(rest)


def cut(after: int, etag: bool = True) -> Behaviour:
    """Announce the whole file and stop halfway."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, Content_Length=len(content), **({"ETag": tag(content)} if etag else {}))
        handler.wfile.write(content[:after])

    return behave


def stall(after: int) -> Behaviour:
    """Stop sending without closing the connection; with ``after`` below 0, without sending anything."""

    def behave(handler: Handler, content: bytes) -> None:
        if after >= 0:
            handler.head(200, Content_Length=len(content), ETag=tag(content))
            handler.wfile.write(content[:after])
        handler.state.released.wait(20)

    return behave


def corrupt(handler: Handler, content: bytes) -> None:
    """Flip one bit."""
    middle = len(content) // 2
    wrong = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    handler.head(200, Content_Length=len(wrong))
    handler.wfile.write(wrong)


def ignore_range(handler: Handler, content: bytes) -> None:
    """Send the whole file whatever was requested."""
    handler.head(200, Content_Length=len(content))
    handler.wfile.write(content)


def wrong_range(handler: Handler, content: bytes) -> None:
    """Send another range than requested."""
    handler.head(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(content)}")
    handler.wfile.write(content[:10])


def ignore_condition(handler: Handler, content: bytes) -> None:
    """Send the rest of the current file although the condition names another version."""
    del handler.headers["If-Range"]
    serve(handler, content)


def claim(length: int) -> Behaviour:
    """Announce another length than is sent."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, Content_Length=length)
        handler.wfile.write(content)

    return behave


def no_length(handler: Handler, content: bytes) -> None:
    """Send without a length and close the connection."""
    handler.head(200)
    handler.wfile.write(content)


def cut_chunks(handler: Handler, content: bytes) -> None:
    """Send a chunk without the final one."""
    handler.head(200, Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n" % len(content) + content + b"\r\n")


def redirect(to: str) -> Behaviour:
    """Redirect to another URL."""
    return lambda handler, content: handler.head(302, Location=to, Content_Length=0)


def status(code: int, **headers: object) -> Behaviour:
    """Send only a status."""
    return lambda handler, content: handler.head(code, Content_Length=0, **headers)


def page(handler: Handler, content: bytes) -> None:
    """Send an HTML page, as captive portals do."""
    text = b"\n<!DOCTYPE html><title>Please log in</title>" + b" " * 10_000
    handler.head(200, Content_Length=len(text), Content_Type="text/html")
    handler.wfile.write(text)


@contextmanager
def running(certificate: Path | None = None) -> Iterator[Server]:
    """Run a server on a free local port; with a certificate (and key in the same file) it uses TLS."""

    class Bound(Handler):
        pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that refuse the certificate are expected."""

    with Quiet(("127.0.0.1", 0), Bound) as http:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
            scheme = "https"
        Bound.state = Server(f"{scheme}://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Bound.state
        finally:
            Bound.state.released.set()
            http.shutdown()
            thread.join()
