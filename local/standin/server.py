"""The HTTP side: one thread per connection, kept alive, none of which outlives the process."""

import socket
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.standin.answers import Answer
from local.standin.catalogue import encode
from local.standin.control import Upstream, command
from local.standin.delivery import Delivery
from local.standin.gate import LONGEST_WAIT
from local.standin.replies import Reply, error, reply

LIST = "/api/v1/models"


class StandinServer(ThreadingHTTPServer):
    """A threading server that many clients may connect to at once."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], upstream: Upstream) -> None:
        self.upstream = upstream
        super().__init__(address, _Connection)

    @property
    def base_url(self) -> str:
        """What a client takes for `OPENROUTER_BASE_URL`."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/api/v1"

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection; one to be reset without the polite shutdown, which would send a FIN."""
        if any(request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)):
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that have gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    server: StandinServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = LONGEST_WAIT

    def do_GET(self) -> None:
        """Answers the list, or a command."""
        url = urlsplit(self.path)
        if url.path.startswith("/_control/"):
            self._command()
        elif url.path == LIST:
            self._list(dict(parse_qsl(url.query)), self.server.upstream.plan.take())
        elif url.path.startswith(f"{LIST}/hops/") and (hop := url.path.rpartition("/")[2]).isdecimal():
            self._list({}, Answer(redirect=int(hop) or None))
        else:
            self._plain(error(404, "Not Found"))

    def do_POST(self) -> None:
        """Takes a command."""
        self._command()

    def do_DELETE(self) -> None:
        """Takes a command."""
        self._command()

    def _list(self, query: dict[str, str], answer: Answer) -> None:
        upstream = self.server.upstream
        entry = upstream.ledger.open(self.path, self.headers)
        delivery = Delivery(self, upstream.gate, partial(upstream.ledger.complete, entry))
        if answer.hang:
            return delivery.hang()
        made = reply(answer, upstream.source.body(upstream.clock.now()), query)
        if not answer.reset:
            entry.status = made.status
        return delivery.send(made, answer)

    def _command(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, told = command(self.server.upstream, self.command, urlsplit(self.path).path, body)
        self._plain(Reply(status, encode(told)))

    def _plain(self, made: Reply) -> None:
        Delivery(self, self.server.upstream.gate).send(made, Answer())

    def log_message(self, *_: Any) -> None:
        """Writes nothing: the ledger is the log."""
