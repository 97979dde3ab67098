"""A crowd of slow clients in front of a web process, while prices are refreshed behind it."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from local.ports import HOST
from tests.system.cluster.cluster import get
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.matrix import FaultRow

GROUP = "Clients"
HALF_BODY = b"POST /api/v1/cost HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x"
CROWDS = {
    "64 half bodies, 64 half heads and 200 idle connections": (HALF_BODY,) * 64
    + (HALF_HEAD,) * 64
    + (b"",) * 200,
    "1,500 idle connections": [b""] * 1500,
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_of_slow_clients_holds_up_neither_probes_nor_lists_nor_a_new_price(
    crowd: str, open_cluster: OpenCluster, record: Callable[[FaultRow], None]
) -> None:
    with open_cluster("sqlite", WEB_CONCURRENCY="1") as cluster, ExitStack() as stack:
        cluster.start_worker("one")
        web = cluster.start_web()
        cluster.wait_until_up()
        for words in CROWDS[crowd]:
            connection = stack.enter_context(socket.create_connection((HOST, web.port), timeout=10))
            connection.sendall(words)
        cluster.start_beat()
        slowest, served = 0.0, False
        deadline = time.monotonic() + 30
        while not served:
            for path in ("/healthz", "/readyz", "/api/v1/models"):
                began = time.monotonic()
                answer = get(web.port, path)
                slowest = max(slowest, time.monotonic() - began)
                assert answer.status == 200, path
                served = answer.headers.get("x-price-revision") == "1"
            assert time.monotonic() < deadline, "the new prices are not served"
        assert slowest < 1
        received = cluster.standin.requests()["completed"]
        happens = "probes and lists are answered within a second, and a new revision is served"
        record(FaultRow(GROUP, crowd, "sqlite", happens, slowest, received))
