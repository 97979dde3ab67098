"""`/metrics` for Prometheus: how old the prices are is the alert, the rest says why.

Everything is read from what this instance serves and from the shared health report: a scrape is no load
on any store.
"""

import math
from collections.abc import Iterator

from flask import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from prices.operations import health
from web.context import current_snapshot
from web.health import get_health_check_data

STATES = (health.HEALTHY, health.DEGRADED, health.UNHEALTHY)


def metrics() -> Response:
    """Give the metrics in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Cluster())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Cluster(Collector):
    """What this instance serves, and how the cluster is."""

    def collect(self) -> Iterator[Metric]:
        """Give each metric of now."""
        snapshot, report = current_snapshot(), get_health_check_data()
        if snapshot.stamp.refreshed_at is not None:
            age = snapshot.age_seconds
            seconds = math.inf if age is None else age  # so that an alert on old prices fires
            yield _gauge("price_age_seconds", "Seconds since the served prices were confirmed.", seconds)
        yield _gauge("price_revision", "The revision served.", snapshot.revision)
        yield _gauge("models", "Models in the served list.", len(snapshot.entries))
        held = sum(entry["held"] is not None for entry in snapshot.entries)
        yield _gauge("held_models", "Models whose new price is held until it is seen twice.", held)
        up = GaugeMetricFamily("pricebeat_part_up", "Whether a part of the cluster is well.", labels=["part"])
        for part in health.PARTS:
            up.add_metric([part], report[part]["status"] == "ok")
        yield up
        state = GaugeMetricFamily(
            "pricebeat_status", "The cluster's status, 1 for the one.", labels=["status"]
        )
        for name in STATES:
            state.add_metric([name], report["status"] == name)
        yield state
        if run := report["prices"].get("last_run"):
            failed = run["outcome"] == "failed"
            yield _gauge("last_refresh_failed", "Whether the last refresh failed.", failed)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"pricebeat_{name}", about, value=value)
