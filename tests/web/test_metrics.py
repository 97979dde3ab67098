"""`/metrics`: what Prometheus is told."""

import math
from datetime import timedelta

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from local.standin.client import Standin
from tests.support.site import Site


def metrics(client: FlaskClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_age_of_the_prices_and_each_problem_are_told(site: Site) -> None:
    site.refresh()
    told = metrics(site.client())
    assert 0 <= told["pricebeat_price_age_seconds",] < 60
    assert told["pricebeat_price_revision",] == 1
    assert told["pricebeat_models",] == 60
    assert (told["pricebeat_part_up", "database"], told["pricebeat_part_up", "redis"]) == (1, 0)
    assert told["pricebeat_status", "degraded"] == 1
    assert (told["pricebeat_held_models",], told["pricebeat_last_refresh_failed",]) == (0, 0)


def test_held_prices_are_counted_and_shown_on_the_page(site: Site, page_upstream: Standin) -> None:
    site.refresh()
    page_upstream.answer(patch={"lumenforge/aurora-5": {"pricing.prompt": "0"}})
    assert site.refresh(force=True).held == 1
    client = site.client()
    assert metrics(client)["pricebeat_held_models",] == 1
    assert "prompt would be free after" in client.get("/").text


def test_without_prices_there_is_no_age(site: Site) -> None:
    told = metrics(site.client())
    assert ("pricebeat_price_age_seconds",) not in told
    assert told["pricebeat_price_revision",] == 0


def test_an_age_that_is_unknown_is_infinite_so_that_an_alert_fires(site: Site) -> None:
    site.refresh()
    site.confirm_ahead(timedelta(days=3))
    told = metrics(site.client())
    assert told["pricebeat_price_age_seconds",] == math.inf
    assert told["pricebeat_part_up", "prices"] == 0
    site.confirm_ahead(timedelta(seconds=30))
    assert metrics(site.client())["pricebeat_price_age_seconds",] < 60
