"""A single HTTP request with urllib; its many failures are reduced to two kinds, transient and permanent."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.request
from email.message import Message
from functools import partial
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

from tposecli.hub.download.options import RetryPolicy

RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
RANGE_NOT_SATISFIABLE: Final = 416


class RequestError(Exception):
    """A URL does not deliver the file; the message gives the reason in a few words."""


class TransientError(RequestError):
    """A request failed this time, and may succeed later.

    Args:
        reason: The message.
        retry_after_s: When the server asks to be retried, in seconds; 0 if it does not say.
        restart: Whether what was received so far is useless.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0, restart: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.restart = restart


def redacted_url(url: str) -> str:
    """Return the URL without its secrets: user, password and query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def open_url(url: str, headers: dict[str, str], retry: RetryPolicy) -> http.client.HTTPResponse:
    """Send a GET request, follow redirects, and return the response.

    Raises:
        TransientError: It may succeed later.
        RequestError: It will not.
    """
    request = _request(url, headers)
    try:
        response: http.client.HTTPResponse = _opener(retry).open(request, timeout=retry.connect_s)
    except HTTPError as error:
        with error:
            raise _status_error(error) from error
    except URLError as error:
        raise RequestError(_reason(error.reason)) from error
    except TimeoutError as error:
        raise TransientError(f"no response for {retry.stall_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"the connection broke ({_reason(error)})") from error
    return response


def read_chunk(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """Return the next bytes as they arrive; empty at the end.

    Raises:
        TransientError: The connection broke or stalled.
    """
    try:
        return response.read1(max_bytes) if max_bytes > 0 else b""
    except TimeoutError as error:
        raise TransientError("the transfer stalled") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"the connection broke ({_reason(error)})") from error


def _request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    """Build the request; credentials in the URL are sent to its own host only, not to the target of a redirect."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(
        urlunsplit(parts._replace(netloc=host)), headers={"User-Agent": "tposecli", **headers}
    )
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _opener(retry: RetryPolicy) -> urllib.request.OpenerDirector:
    """Build an opener for one request: proxies may have changed, and nothing is shared."""
    return urllib.request.build_opener(_HttpHandler(retry.stall_s), _HttpsHandler(retry.stall_s), _RedirectHandler())


class _PlainConnection(http.client.HTTPConnection):
    """A connection with separate timeouts for connecting and reading, whose errors name the unreachable host."""

    def __init__(self, *args: Any, stall_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stall_s = stall_s

    def connect(self) -> None:
        """Connect, then switch to the read timeout."""
        try:
            super().connect()
        except OSError as error:
            raise RequestError(_unreachable(self.host, error)) from error
        self.sock.settimeout(self._stall_s)


class _SecureConnection(_PlainConnection, http.client.HTTPSConnection):
    """The same over TLS, with its own context, so that no other code can have disabled verification."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, context=ssl.create_default_context(), **options)


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, stall_s: float) -> None:
        super().__init__()
        self._connection: Any = partial(_PlainConnection, stall_s=stall_s)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See :class:`_PlainConnection`."""
        return self.do_open(self._connection, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, stall_s: float) -> None:
        super().__init__()
        self._connection: Any = partial(_SecureConnection, stall_s=stall_s)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See :class:`_SecureConnection`."""
        return self.do_open(self._connection, req)


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to the new URL."""
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            fp.close()
            raise RequestError(f"refused: redirect from {req.type} to {scheme} ({redacted_url(newurl)})")
        parts = urlsplit(newurl)
        newurl = urlunsplit(
            parts._replace(netloc=parts.netloc.rpartition("@")[2])
        )  # Its password is nobody's business.
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _status_error(error: HTTPError) -> RequestError:
    """Return the error for an HTTP status."""
    reason = f"HTTP {error.code} {str(error.reason).splitlines()[0] if error.reason else ''}".rstrip()
    if error.code == RANGE_NOT_SATISFIABLE:
        return TransientError(reason, restart=True)
    if error.code not in RETRYABLE_STATUSES:
        return RequestError(reason)
    wait = error.headers.get("Retry-After", "") if error.headers else ""
    return TransientError(reason, float(wait) if wait.isdecimal() else 0.0)


def _unreachable(host: str, error: OSError) -> str:
    """Return why a connection failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} is not trusted ({error.verify_message}); where a proxy replaces certificates, "
            "point SSL_CERT_FILE to its certificate authority"
        )
    return f"{host} cannot be reached ({_reason(error)})"


def _reason(reason: object) -> str:
    """Return the reason for a failure without repeating the URL."""
    if isinstance(reason, http.client.HTTPException):
        return type(reason).__name__
    if isinstance(reason, TimeoutError):
        return "timed out"
    if isinstance(reason, OSError):
        return reason.strerror or str(reason)
    return str(reason)
