"""A web server on this machine that serves files well or, request by request, badly."""

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
    """What it has, how it will answer, and what it was asked."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    plan: list[Behaviour] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def asked(self, header: str) -> list[str | None]:
        """One header of all requests so far."""
        return [headers.get(header.lower()) for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Answers as the plan says, then as servers should."""

    state: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve the file of that name in the way that is next in the plan."""
        self.state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        behave = self.state.plan.pop(0) if self.state.plan else serve
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):
            behave(self, self.state.files.get(self.path.partition("?")[0].rpartition("/")[2], b""))

    def head(self, status: int, **headers: object) -> None:
        """Status line and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def tag(content: bytes) -> str:
    """A strong ETag."""
    return f'"{sha256(content).hexdigest()[:16]}"'


def serve(handler: Handler, content: bytes) -> None:
    """As a server should, ranges and their conditions included."""
    if not content:
        handler.head(404, Content_Length=0)
        return
    asked = handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    if asked is None or (condition is not None and condition != tag(content)):
        handler.head(200, Content_Length=len(content), ETag=tag(content))
        handler.wfile.write(content)
        return
    start = int(asked.removeprefix("bytes=").rstrip("-"))
    if start >= len(content):
        handler.head(416, Content_Length=0)
        return
    rest = content[start:]
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.head(206, Content_Length=len(rest), Content_Range=span, ETag=tag(content))
    handler.wfile.write(rest)


def cut(after: int, etag: bool = True) -> Behaviour:
    """Promises the whole and stops."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, Content_Length=len(content), **({"ETag": tag(content)} if etag else {}))
        handler.wfile.write(content[:after])

    return behave


def stall(after: int) -> Behaviour:
    """Stops sending without hanging up; ``after`` below 0: without even an answer."""

    def behave(handler: Handler, content: bytes) -> None:
        if after >= 0:
            handler.head(200, Content_Length=len(content), ETag=tag(content))
            handler.wfile.write(content[:after])
        handler.state.released.wait(20)

    return behave


def corrupt(handler: Handler, content: bytes) -> None:
    """One bit is another."""
    middle = len(content) // 2
    wrong = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    handler.head(200, Content_Length=len(wrong))
    handler.wfile.write(wrong)


def ignore_range(handler: Handler, content: bytes) -> None:
    """Everything, whatever was asked for."""
    handler.head(200, Content_Length=len(content))
    handler.wfile.write(content)


def wrong_piece(handler: Handler, content: bytes) -> None:
    """Another piece than was asked for."""
    handler.head(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(content)}")
    handler.wfile.write(content[:10])


def ignore_condition(handler: Handler, content: bytes) -> None:
    """The rest of the file as it is now, though the condition names another one."""
    del handler.headers["If-Range"]
    serve(handler, content)


def claim(length: int) -> Behaviour:
    """Says another length than it sends."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, Content_Length=length)
        handler.wfile.write(content)

    return behave


def no_length(handler: Handler, content: bytes) -> None:
    """Sends until it hangs up."""
    handler.head(200)
    handler.wfile.write(content)


def cut_chunks(handler: Handler, content: bytes) -> None:
    """Sends a chunk and no end."""
    handler.head(200, Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n" % len(content) + content + b"\r\n")


def redirect(to: str) -> Behaviour:
    """Sends elsewhere."""
    return lambda handler, content: handler.head(302, Location=to, Content_Length=0)


def status(code: int, **headers: object) -> Behaviour:
    """Nothing but a status."""
    return lambda handler, content: handler.head(code, Content_Length=0, **headers)


def page(handler: Handler, content: bytes) -> None:
    """What the network of a hotel answers to everything."""
    text = b"\n<!DOCTYPE html><title>Please log in</title>" + b" " * 10_000
    handler.head(200, Content_Length=len(text), Content_Type="text/html")
    handler.wfile.write(text)


@contextmanager
def running(certificate: Path | None = None) -> Iterator[Server]:
    """A server on a free port of this machine; with a certificate (and key in the same file) it speaks TLS."""

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
