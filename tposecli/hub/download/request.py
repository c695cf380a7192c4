"""One request by urllib, whose many failures become two: those that may pass, and those that will not."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.request
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
NO_SUCH_RANGE: Final = 416


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait, and how often to try.

    Attributes:
        connect_s: Longest time to make a connection, seconds, for each address of the host. How long it takes to look
            its name up is up to the system.
        stall_s: Longest time without a byte.
        tries: Requests to one address in all.
        pause_s: Before the second try; doubled before each further one.
    """

    connect_s: float = 10.0
    stall_s: float = 30.0
    tries: int = 4
    pause_s: float = 1.0


class RequestError(Exception):
    """An address does not give the file; the message says why, in a few words."""


class TransientError(RequestError):
    """It did not this time.

    Args:
        reason: The message.
        retry_after_s: When the server wants to be asked again, seconds; 0 if it says nothing.
        restart: What has come so far is of no use.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0, restart: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.restart = restart


def shown(url: str) -> str:
    """The address without what may be secret: user, password, query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def ask(url: str, headers: dict[str, str], patience: RetryPolicy) -> http.client.HTTPResponse:
    """The answer to a GET, redirects followed.

    Raises:
        Transient: It may work later.
        Failed: It will not.
    """
    request = _request(url, headers)
    try:
        response: http.client.HTTPResponse = _opener(patience).open(request, timeout=patience.connect_s)
    except HTTPError as error:
        with error:
            raise _refusal(error) from error
    except URLError as error:
        raise RequestError(_words(error.reason)) from error
    except TimeoutError as error:
        raise TransientError(f"no answer for {patience.stall_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"the connection broke ({_words(error)})") from error
    return response


def read(response: http.client.HTTPResponse, most: int) -> bytes:
    """The next bytes, as they come; empty at the end.

    Raises:
        Transient: The connection broke or stands still.
    """
    try:
        return response.read1(most) if most > 0 else b""
    except TimeoutError as error:
        raise TransientError("the transfer stood still") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"the connection broke ({_words(error)})") from error


def _request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    """User and password, if the address has them, go to its host only, not to where that redirects."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(
        urlunsplit(parts._replace(netloc=host)), headers={"User-Agent": "tposecli", **headers}
    )
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _opener(patience: RetryPolicy) -> urllib.request.OpenerDirector:
    """Built anew for each request: proxies may have changed, and nothing is shared."""
    return urllib.request.build_opener(_Plain(patience.stall_s), _Secure(patience.stall_s), _Redirects())


class _PlainConnection(http.client.HTTPConnection):
    """Has one time limit for connecting and another for waiting, and says which host it is that cannot be reached."""

    def __init__(self, *args: Any, stall_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stall_s = stall_s

    def connect(self) -> None:
        """Connect, then wait longer."""
        try:
            super().connect()
        except OSError as error:
            raise RequestError(_unreachable(self.host, error)) from error
        self.sock.settimeout(self._stall_s)


class _SecureConnection(_PlainConnection, http.client.HTTPSConnection):
    """The same with TLS, by a context of its own: nobody has switched its checks off."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, context=ssl.create_default_context(), **options)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, stall_s: float) -> None:
        super().__init__()
        self._connection: Any = partial(_PlainConnection, stall_s=stall_s)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See :class:`_PlainConnection`."""
        return self.do_open(self._connection, req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, stall_s: float) -> None:
        super().__init__()
        self._connection: Any = partial(_SecureConnection, stall_s=stall_s)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See :class:`_SecureConnection`."""
        return self.do_open(self._connection, req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not out of https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows."""
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            fp.close()
            raise RequestError(f"refused: it redirects from {req.type} to {scheme} ({shown(newurl)})")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _refusal(error: HTTPError) -> RequestError:
    """What an error status means."""
    reason = f"HTTP {error.code} {str(error.reason).splitlines()[0] if error.reason else ''}".rstrip()
    if error.code == NO_SUCH_RANGE:
        return TransientError(reason, restart=True)
    if error.code not in RETRYABLE_STATUSES:
        return RequestError(reason)
    wait = error.headers.get("Retry-After", "") if error.headers else ""
    return TransientError(reason, float(wait) if wait.isdecimal() else 0.0)


def _unreachable(host: str, error: OSError) -> str:
    """Why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} is not trusted ({error.verify_message}); where a proxy replaces certificates, "
            "name its authority in SSL_CERT_FILE"
        )
    return f"{host} cannot be reached ({_words(error)})"


def _words(reason: object) -> str:
    """A failure in words that repeat no address."""
    if isinstance(reason, http.client.HTTPException):
        return type(reason).__name__
    if isinstance(reason, TimeoutError):
        return "timed out"
    if isinstance(reason, OSError):
        return reason.strerror or str(reason)
    return str(reason)
