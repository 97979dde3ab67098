"""A real PgBouncer before a PostgreSQL server, lending its connections for one transaction each."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from local.ports import HOST
from tests.support.ports import free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
CONFIG = """
[databases]
* = host={folder} port={server_port} user=postgres
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 100
"""


@contextmanager
def pgbouncer(server: str, *, connections: int = 2) -> Iterator[str]:
    """Run PgBouncer with so many connections to a server; give the address of the server's first database.

    The server's address is that of a Unix socket, as `postgres_server` gives it.
    """
    assert PROGRAM is not None
    parts, port = urlsplit(server), free_port()
    folder_of_server = Path(parse_qs(parts.query)["host"][0])
    with tempfile.TemporaryDirectory(prefix="pricebeat-pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # that of another user may read it
        config, log = folder / "pgbouncer.ini", folder / "log"
        config.write_text(
            CONFIG.format(
                folder=folder_of_server,
                server_port=parts.port or 5432,
                host=HOST,
                port=port,
                connections=connections,
            )
        )
        # It refuses to run as root; the server's own user may enter the server's folder.
        as_user = ["-u", folder_of_server.owner()] if os.geteuid() == 0 else []
        with log.open("wb") as output:
            process = subprocess.Popen([PROGRAM, *as_user, config], stdout=output, stderr=output)
        try:
            _wait_until_it_listens(process, port, log)
            yield f"postgresql://postgres@{HOST}:{port}{parts.path}"
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"PgBouncer does not listen:\n{log.read_text()}")
