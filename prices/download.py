"""Upstream over HTTP: one whole body, within bounds of time, size and trust.

OpenRouter's list of models is `GET {base}/models`, public, no key needed:
https://openrouter.ai/docs/api-reference/models/get-models
"""

import contextlib
import socket
import time
from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from prices.background import in_background
from prices.errors import UpstreamError, one_line

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
TOTAL_SECONDS = 60.0
LOOK_SECONDS = 0.1
MAX_BYTES = 128 * 1024 * 1024
MAX_REDIRECTS = 3
USER_AGENT = "Pricebeat/1.0 (one price-list fetch per cluster and period)"


def fetch(base_url: str, key: str | None, progress: Callable[[int], None] = lambda _received: None) -> bytes:
    """Get the whole body of upstream's list, unpacked, at most 128 MiB, within 60 s.

    While it waits, `progress` is told the bytes received so far, and may end the wait by raising; a body
    that is whole is given, whatever it would say. Raises UpstreamError with the reason.
    """
    # In a thread of its own, because no socket time-out ends an answer that drips, headers included.
    sockets: list[socket.socket] = []
    body = bytearray()
    download = in_background(lambda: _download(f"{base_url}/models", key, body, sockets))
    deadline = time.monotonic() + TOTAL_SECONDS
    try:
        while not wait([download], timeout=LOOK_SECONDS).done:
            if time.monotonic() >= deadline:
                raise UpstreamError(f"upstream's body was not complete within {TOTAL_SECONDS:g} s")
            progress(len(body))
        return download.result()
    except requests.Timeout as error:
        raise UpstreamError("upstream did not answer in time") from error
    except requests.RequestException as error:
        raise UpstreamError(f"upstream could not be read ({type(error).__name__})") from error
    finally:
        for opened in sockets:  # whoever gives up must not go on receiving
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


class _OneHop(requests.Session):
    """Follows no redirect, nor looks at one: requests would read its whole body first, without limit.

    Notes every socket that it opens in `sockets`.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self.auth = _no_more_headers  # else requests takes a password from ~/.netrc
        adapter = _NotingAdapter(sockets)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' name
        return None


def _no_more_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _NotingAdapter(HTTPAdapter):
    """Notes the sockets of its connections, so that they can be shut from another thread."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Give a pool whose connections are noted when they are made."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        plain, sockets = pool.ConnectionCls, self._sockets

        class Noted(plain):  # type: ignore[misc, valid-type]  # http or https, as the pool has it
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        pool.ConnectionCls = Noted
        return pool


def _download(url: str, key: str | None, body: bytearray, sockets: list[socket.socket]) -> bytes:
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    with _OneHop(sockets) as session:
        for _hop in range(MAX_REDIRECTS + 1):
            with session.get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            ) as response:
                if not response.is_redirect:
                    return _whole_body(response, body)
                url = _redirected(url, response.headers["location"], headers)
    raise UpstreamError(f"upstream redirected more than {MAX_REDIRECTS} times")


def _redirected(url: str, location: str, headers: dict[str, str]) -> str:
    """Follow a redirect: from https to https only, and the key to no other host."""
    try:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
    except ValueError as error:
        raise UpstreamError(f"upstream redirected to no address: {one_line(error)}") from error
    if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme != "https"):
        raise UpstreamError("upstream redirected away from https")
    if before.netloc != after.netloc:
        headers.pop("Authorization", None)
    return target


def _whole_body(response: requests.Response, body: bytearray) -> bytes:
    if response.status_code != requests.codes.ok:
        retry_after = _seconds(response.headers.get("retry-after", ""))
        raise UpstreamError(f"upstream answered {response.status_code}", retry_after)
    for chunk in response.iter_content(64 * 1024):
        body += chunk
        if len(body) > MAX_BYTES:
            raise UpstreamError(f"upstream's body is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return bytes(body)


def _seconds(retry_after: str) -> float:
    """Read a Retry-After header: seconds, or a date (RFC 9110, section 10.2.3); 0 where it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())
