"""The bodies of requests: each is read whole, within bounds of bytes and time, before a thread answers it.

Every body goes through here, whatever its path. It is read in the event loop: a client that sends half of
one, or a byte a second, holds a few kilobytes and never a thread.
"""

import asyncio
import io
from collections.abc import AsyncIterable
from copy import copy
from typing import Final

from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout

MAX_BYTES: Final = 64 * 1024
"""How long a body may be; a longer one is answered with 413."""
MAX_SECONDS: Final = 10.0
"""How long a client may take to send one; then it is answered with 408, and its connection is closed."""
MAX_AT_ONCE: Final = 1024
"""How many a process reads or answers at once, 64 MiB in all; one more is answered with 503."""
MAX_PASSED_OVER: Final = 1024 * 1024
"""How much of a body that is too long is read and forgotten.

A client sends all of its body before it reads the answer. A connection that is closed before that is reset,
and the client never sees the 413.
"""


class Refused(io.RawIOBase):
    """The body of a request in the place of one that could not be had: reading it raises the reason."""

    def __init__(self, reason: HTTPException) -> None:
        self._reason = reason

    def readable(self) -> bool:
        """It can be read, as any body."""
        return True

    def readinto(self, _buffer: object) -> int:
        """Raise the reason anew: an error holds the frames that it came through, and they hold this."""
        raise copy(self._reason)


async def read_body(pieces: AsyncIterable[bytes], announced: int | None) -> bytes:
    """Read a body whose length was `announced`, or was not, as it is when it comes in chunks.

    Raises RequestEntityTooLarge, RequestTimeout, or BadRequest where it ends before its announced length.
    """
    too_long = RequestEntityTooLarge(f"the body may be {MAX_BYTES} bytes long")
    if announced is not None and announced > MAX_BYTES + MAX_PASSED_OVER:
        raise too_long
    body, length = bytearray(), 0
    try:
        async with asyncio.timeout(MAX_SECONDS):
            async for piece in pieces:
                length += len(piece)
                if length > MAX_BYTES + MAX_PASSED_OVER:
                    break
                if length <= MAX_BYTES:
                    body += piece
    except TimeoutError:
        raise RequestTimeout(f"the body did not arrive within {MAX_SECONDS:g} s") from None
    if length > MAX_BYTES:
        raise too_long
    if announced is not None and length < announced:
        raise BadRequest("the body is shorter than its Content-Length")
    return bytes(body)
