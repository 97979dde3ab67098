"""Redis behind TLS: all connect who trust its certificate or ask for none, and by default nobody else."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from celery import Celery

from local.ports import HOST
from tests.system.cluster.cluster import FLOWER_USER, Cluster, close, get, prepare, send
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.proxy import Proxy

CERTIFICATE = Path(__file__).parent / "loopback.pem"
"""Self-signed, for 127.0.0.1, with its key."""
TRUSTED = {
    "a certificate that is trusted": f"?ssl_ca_certs={quote(str(CERTIFICATE), safe='')}",
    "none asked for": "?ssl_cert_reqs=none",
}


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """A cluster without processes, whose Redis is also there behind TLS, at REDIS_URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    with open_cluster("sqlite") as cluster, Proxy((HOST, cluster.redis.port), tls=context) as proxy:
        address = cluster.redis.url.replace("redis://", "rediss://")
        cluster.env["REDIS_URL"] = address.replace(f":{cluster.redis.port}/", f":{proxy.port}/")
        yield cluster


@pytest.fixture
def app(cluster: Cluster) -> Iterator[Celery]:
    """A client that reaches Redis itself."""
    app = Celery("tests", broker=cluster.redis.url, backend=cluster.redis.url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


@pytest.mark.parametrize("trust", TRUSTED)
def test_broker_results_and_our_own_client_reach_redis_over_tls(
    trust: str, cluster: Cluster, app: Celery
) -> None:
    url = cluster.env["REDIS_URL"] + TRUSTED[trust]
    worker = cluster.start_worker("one", REDIS_URL=url)
    try:
        cluster.wait_for_log(worker, worker.ready_prompt, 30)
        result = send(app, force=True).get(timeout=20)
        assert (result["outcome"], result["degraded"]) == ("refreshed", False)
        assert "Traceback" not in worker.logs()
        _status, report = cluster.command("status", REDIS_URL=url)
        assert (report["redis"]["status"], list(report["worker"]["workers"])) == ("ok", ["worker@one"])
    finally:
        worker.teardown()


def test_flower_shows_the_queue_over_tls(cluster: Cluster) -> None:
    flower = cluster.start_flower(REDIS_URL=cluster.env["REDIS_URL"] + "?ssl_cert_reqs=none")
    try:
        cluster.wait_until_up()
        assert b">celery<" in b"".join(get(flower.port, "/broker", user=FLOWER_USER).body.split())
    finally:
        flower.teardown()
        cluster.nodes.clear()


def test_by_default_nobody_talks_to_a_redis_whose_certificate_is_not_trusted(
    cluster: Cluster, app: Celery
) -> None:
    worker = cluster.start_worker("stranger")
    try:
        cluster.wait_for_log(worker, "certificate verify failed", 30)
        assert worker.process.status == "running"
        assert worker.ready_prompt not in worker.logs()
        assert "insecure" not in worker.logs()
        _status, report = cluster.command("status")
        assert report["redis"]["status"] == "down"
    finally:
        worker.teardown()


def test_a_word_that_is_none_is_refused_with_one_line(cluster: Cluster) -> None:
    worker = cluster.start_worker("misspelt", REDIS_URL=cluster.env["REDIS_URL"] + "?ssl_cert_reqs=never")
    cluster.wait_until(lambda: worker.process.status == "exited", "the worker ends", 20)
    (line,) = worker.logs().splitlines()
    assert line == "pricebeat: REDIS_URL must have ssl_cert_reqs=required, optional or none"
