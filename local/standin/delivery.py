"""Writing a reply to the connection: whole, or slowly, cut short, held at the gate, reset."""

import gzip
import socket
import struct
import time
from collections.abc import Iterator
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from typing import Protocol

from local.standin.answers import Answer
from local.standin.gate import LONGEST_WAIT, Gate
from local.standin.replies import Reply

_BLOCK = 64 * 1024
_DRIP_PAUSE = 0.1


class Settle(Protocol):
    """Is told that a body goes out whole, just before its last byte, and that it did not if that fails."""

    def __call__(self, *, whole: bool) -> None:
        """Takes note."""


class Delivery:
    """Sends replies over one connection."""

    def __init__(self, handler: BaseHTTPRequestHandler, gate: Gate, settle: Settle | None = None) -> None:
        self._handler = handler
        self._gate = gate
        self._settle = settle or _unnoted

    def send(self, reply: Reply, answer: Answer) -> None:
        """Sends `reply` the way `answer` asks for. Raises OSError when the client has gone."""
        if answer.hold_at == 0:
            self._hold()
        time.sleep(min(answer.delay, LONGEST_WAIT))
        if answer.reset and answer.cut is None:
            self.reset()
        elif isinstance(reply.body, bytes):
            self._whole(reply, reply.body, answer)
        else:
            self._stream(reply, reply.body, answer)

    def hang(self) -> None:
        """Never answers; the connection closes when the stand-in is cleared or released."""
        self._gate.wait()
        self._handler.close_connection = True

    def reset(self) -> None:
        """Makes the coming close an RST instead of a FIN."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.close_connection = True

    def _whole(self, reply: Reply, body: bytes, answer: Answer) -> None:
        headers = dict(reply.headers)
        if body and "content-encoding" not in headers and "gzip" in self._accepted():
            body = _packed(body)
            headers["content-encoding"] = "gzip"
        self._head(reply.status, {"content-length": str(len(body))} | headers)
        view, sent, hold_at = memoryview(body), 0, answer.hold_at or None
        block = max(1, int(answer.drip * _DRIP_PAUSE)) if answer.drip else _BLOCK
        end = len(body) if answer.cut is None else min(answer.cut, len(body))
        deadline = time.monotonic() + LONGEST_WAIT
        while sent < end:
            if hold_at is not None and sent >= hold_at:
                self._hold()
                hold_at = None
            # The last byte goes alone: counted before the client can know that it has everything.
            edges = (sent + block, end, hold_at or end, len(body) - 1 if sent < len(body) - 1 else end)
            until = min(edge for edge in edges if edge > sent)
            self._write(view[sent:until], last=until == len(body))
            if answer.drip:
                time.sleep(min((until - sent) / answer.drip, LONGEST_WAIT))
                if time.monotonic() > deadline:
                    raise TimeoutError
            sent = until
        if not body:
            self._settle(whole=True)
        if answer.cut is not None:
            self._end_early(answer)

    def _stream(self, reply: Reply, blocks: Iterator[bytes], answer: Answer) -> None:
        self._head(reply.status, reply.headers | {"transfer-encoding": "chunked"})
        sent = 0
        for piece in blocks:
            if answer.cut is not None and sent + len(piece) > answer.cut:
                return self._end_early(answer)
            if piece:
                self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)
        return self._write(b"0\r\n\r\n", last=True)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def _write(self, piece: bytes | memoryview, *, last: bool = False) -> None:
        if last:
            self._settle(whole=True)
        try:
            self._handler.wfile.write(piece)
        except OSError:
            self._settle(whole=False)
            raise

    def _end_early(self, answer: Answer) -> None:
        self._handler.close_connection = True
        if answer.reset:
            self.reset()

    def _hold(self) -> None:
        if not self._gate.wait():
            raise TimeoutError

    def _accepted(self) -> str:
        return self._handler.headers.get("accept-encoding", "").lower()


def _unnoted(*, whole: bool) -> None:
    """For replies that are not counted."""


@lru_cache(maxsize=2)
def _packed(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)
