"""Upstream over HTTP: one whole body, within bounds of time, size and trust.

OpenRouter's list of models is `GET {base}/models`, public, no key needed:
https://openrouter.ai/docs/api-reference/models/get-models
"""

import time
from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from prices.errors import UpstreamError, one_line
from prices.runtime.background import in_background
from prices.runtime.reasons import status_reason, upstream_reason
from prices.upstream.pages import Pages
from prices.upstream.transfer import OneHop, Transfer

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
TOTAL_SECONDS = 60.0
LOOK_SECONDS = 0.1
MAX_BYTES = 128 * 1024 * 1024
MAX_REDIRECTS = 3
LONGEST_RETRY_AFTER = 1e9
"""Seconds; 31 years. Upstream may name any number, and times must be able to move by it."""
USER_AGENT = "Pricebeat/1.0 (one price-list fetch per cluster and period)"


def fetch(
    base_url: str, authorization: str | None, progress: Callable[[int], None] = lambda _received: None
) -> bytes:
    """Get the whole body of upstream's list, unpacked, at most 128 MiB, within 60 s.

    A list that upstream sends in pages is one body, put together of all of them. While it waits, `progress`
    is told the bytes received so far, and may end the wait by raising; a body that is whole is given,
    whatever it would say. Raises UpstreamError with the reason.
    """
    # In a thread of its own, because no socket time-out ends an answer that drips, headers included.
    transfer = Transfer()
    download = in_background(lambda: _download(f"{base_url}/models", authorization, transfer))
    deadline = time.monotonic() + TOTAL_SECONDS
    try:
        while not wait([download], timeout=LOOK_SECONDS).done:
            if time.monotonic() >= deadline:
                raise UpstreamError(f"upstream's body was not complete within {TOTAL_SECONDS:g} s")
            progress(transfer.received)
        return download.result()
    except requests.exceptions.InvalidURL:  # which may quote the password of a proxy
        raise UpstreamError("upstream's address, a redirect of it or a proxy's is no address") from None
    except requests.Timeout as error:
        raise UpstreamError("upstream did not answer in time") from error
    except (requests.RequestException, HTTPError) as error:  # requests lets some of urllib3's through
        raise UpstreamError(upstream_reason(error)) from error
    finally:
        transfer.end()  # whoever gives up must not go on receiving beside a successor
        del download  # its error's traceback holds this frame, and with it all that the run holds


def _download(url: str, authorization: str | None, transfer: Transfer) -> bytes:
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
    if authorization:
        headers["Authorization"] = authorization
    pages, following = Pages(), url
    with OneHop(transfer) as session:
        while following:
            address, body = _answer(session, following, headers, transfer)
            following = pages.add(address, body) or ""
    return pages.whole()


def _answer(
    session: requests.Session, url: str, headers: dict[str, str], transfer: Transfer
) -> tuple[str, bytes]:
    """Get one body, over redirects; tell the address that gave it."""
    for _hop in range(MAX_REDIRECTS + 1):
        with session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        ) as response:
            if not response.is_redirect:
                return url, _whole_body(response, transfer)
            url = _redirected(session, url, response.headers["location"], headers)
    raise UpstreamError(f"upstream redirected more than {MAX_REDIRECTS} times")


def _redirected(session: requests.Session, url: str, location: str, headers: dict[str, str]) -> str:
    """Follow a redirect to https, or within one origin; elsewhere without the credentials.

    A redirect over plain http can be anyone's on the way, and another port a service of this machine.
    """
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
        leaves = session.should_strip_auth(url, target)  # type: ignore[no-untyped-call]  # requests' stub
    except ValueError as error:
        raise UpstreamError(f"upstream redirected to no address: {one_line(error)}") from error
    if scheme != "https" and not (scheme == "http" and not leaves):
        raise UpstreamError("upstream redirected neither to https nor within its own address")
    if leaves:
        headers.pop("Authorization", None)
    return target


def _whole_body(response: requests.Response, transfer: Transfer) -> bytes:
    if response.status_code != requests.codes.ok:
        retry_after = _seconds(response.headers.get("retry-after", ""), datetime.now(UTC))
        with_key = "Authorization" in response.request.headers
        raise UpstreamError(status_reason(response.status_code, with_key=with_key), retry_after)
    _check_length(response.headers.get("content-length", "0"))
    body = bytearray()
    for chunk in response.iter_content(64 * 1024):
        body += chunk
        transfer.received += len(chunk)  # of all pages together
        if transfer.received > MAX_BYTES:
            raise _too_large()
    return bytes(body)


def _check_length(text: str) -> None:
    """Refuse a Content-Length that is no number, which http.client passes over (RFC 9112, section 6.3)."""
    if not (text.isascii() and text.isdigit()):
        raise UpstreamError("upstream's Content-Length is no number of bytes")
    if len(text) > len(str(MAX_BYTES)) or int(text) > MAX_BYTES:
        raise _too_large()


def _too_large() -> UpstreamError:
    return UpstreamError(f"upstream's body is larger than {MAX_BYTES // 1024 // 1024} MiB")


def _seconds(retry_after: str, now: datetime) -> float:
    """Read a Retry-After header: seconds, or a date (RFC 9110, section 10.2.3); 0 where it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return 0.0
    at = at.replace(tzinfo=at.tzinfo or UTC)
    return min(max(0.0, (at - now).total_seconds()), LONGEST_RETRY_AFTER)
