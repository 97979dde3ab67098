"""A way to upstream on which no connection comes to stand until it is opened, as behind a full firewall."""

import select
import socket
import threading
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from local.ports import HOST

SYN_SENT = "02"


class ShutDoor:
    """Stands before an upstream: whoever connects waits; a context manager."""

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        self._target = (url.hostname or "", url.port or 80)
        self._listener = socket.create_server((HOST, 0), backlog=0)
        self._filler = socket.create_connection(self._listener.getsockname())  # the queue is full
        self._port = self._listener.getsockname()[1]
        self.base_url = f"http://{HOST}:{self._port}{url.path}"
        self.passed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()
        self._filler.close()

    def is_waited_at(self) -> bool:
        """Whether somebody is connecting, and not connected."""
        door = f":{self._port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[2].endswith(door) and line.split()[3] == SYN_SENT for line in lines)

    def open(self) -> None:
        """Let in all who wait, and pass on what they send."""
        self._filler.close()
        self._listener.accept()[0].close()
        threading.Thread(target=self._let_in, daemon=True).start()

    def _let_in(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            ends = {client: server, server: client}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    sent = end.recv(65536)
                    if not sent:
                        self.passed += 1
                        return
                    ends[end].sendall(sent)
