import gzip
import re
import time
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.published.bodies import Publication, PublishedBody, Stamp
from prices.published.snapshot import Snapshot
from prices.refresh.outcome import RefreshFailedError
from tests.support.site import Site
from web import listing, pages, price_table
from web.context import EXTENSION
from web.listing import PART_ROWS
from web.price_table import age_text, amount_shown

HOSTILE = '<script>alert("1")</script>'


def html(client: FlaskClient, address: str = "/") -> str:
    response = client.get(address)
    assert response.status_code == 200, response.text
    return response.text


def row(page: str, model_id: str) -> str:
    """One model's row, its markup replaced by bars."""
    rows = [row for row in re.findall(r"<tr role=.row.>.*?</tr>", page, re.S) if f">{model_id}<" in row]
    assert len(rows) == 1, f"{model_id} stands in {len(rows)} rows"
    return unescape(re.sub(r"(\s*<[^>]*>\s*)+", "|", rows[0]))


def ids(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<span class="id">(.*?)</span>', page)]


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.fixture
def client(site: Site) -> FlaskClient:
    site.refresh()
    return site.client()


def test_every_model_is_listed_in_upstreams_order(client: FlaskClient) -> None:
    listed = [model["id"] for model in client.get("/api/v1/models").json["data"]]
    assert len(listed) > 50
    assert ids(html(client)) == listed


def test_prices_are_per_million_tokens_and_no_state_becomes_another(client: FlaskClient) -> None:
    page = html(client)
    assert "|2.00|8.00|0.20|–|" in row(page, "granite-bay/two-tiers")
    assert "|free|free|–|–|" in row(page, "harbor-ai/gratis-4b")
    assert "|dynamic|dynamic|–|–|" in row(page, "openrouter/auto")
    assert "|request dynamic|" in row(page, "openrouter/mirage")
    assert "|request free|" in row(page, "harbor-ai/pilot-minus")
    assert "|–|2.00|" in row(page, "quarry/context-null")
    assert "|0|2.00|" in row(page, "quarry/context-zero")


def test_a_price_that_is_rounded_says_so_and_keeps_its_exact_amount(client: FlaskClient) -> None:
    page = html(client)
    assert "|≈0.1033|" in row(page, "tidewater/longtail-70b")
    assert 'title="exactly 0.10333333333333333"' in page


def test_tiers_and_windows_are_marked_and_told(client: FlaskClient) -> None:
    page = html(client)
    tiers = row(page, "granite-bay/two-tiers")
    assert "|2 tiers|above 32,000 prompt tokens: completion $12.00/M, prompt $3.00/M|" in tiers
    assert "|2 windows|00:30–16:30 UTC: " in row(page, "deepwell/night-flash")
    assert "|3 tiers and windows|" in row(page, "deepwell/clock-and-tier")
    weekdays = row(page, "deepwell/weekdays")
    assert "|1 window|07:00–19:00 UTC, on Mon, Tue, Wed, Thu, Fri: prompt $2.50/M|" in weekdays


def test_one_tier_or_window_is_not_told_in_the_plural() -> None:
    days = {"utc_days": ["monday"]}
    texts = [
        price_table.marker([override]) for override in ({"min_prompt_tokens": 1}, {"utc_start": 1}, days)
    ]
    assert texts == ["1 tier", "1 window", "1 window"]


def test_retail_prices_are_shown_only_where_they_differ(site: Site, client: FlaskClient) -> None:
    assert "Retail" not in text(html(client))
    page = html(site.client(PRICE_MARKUP="1.2"))
    assert "retail is the list price × 1.2" in text(page)
    assert "|2.00|8.00|0.20|–|2.40|9.60|" in row(page, "granite-bay/two-tiers")


def test_search_looks_through_names_and_ids(client: FlaskClient) -> None:
    page = html(client, "/?q=+GRANITE-bay/two+")
    assert ids(page) == ["granite-bay/two-tiers"]
    assert 'value="GRANITE-bay/two"' in page
    assert ids(html(client, "/?q=Nové")) == ["quarry/novelty"]


def test_a_search_without_a_find_says_so_and_shows_the_way_back(client: FlaskClient) -> None:
    page = html(client, "/?q=%3Cb%3Enowhere")
    assert ids(page) == []
    assert "<b>nowhere" not in page
    assert '<p class="nothing" id="nothing">' in page
    assert "No model has <b>nowhere in its name or id" in text(page)


@pytest.mark.parametrize(
    ("column", "place"), [("prompt", "per_million"), ("completion", "per_million"), ("context", None)]
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_sorting_keeps_what_is_not_known_last(
    client: FlaskClient, column: str, place: str | None, order: str
) -> None:
    def key(entry: dict) -> float | None:  # type: ignore[type-arg]
        value = entry["prices"][column].get(place) if place else entry["context_length"]
        return None if value is None else float(value)

    values = {entry["id"]: key(entry) for entry in client.get("/api/v1/prices").json["data"]}
    shown = [values[model_id] for model_id in ids(html(client, f"/?sort={column}&order={order}"))]
    known = [value for value in shown if value is not None]
    assert len(shown) == len(values)
    assert len(known) < len(shown)
    assert shown[: len(known)] == sorted(known, reverse=order == "desc")


def test_sorting_by_name_is_without_regard_to_case(client: FlaskClient) -> None:
    page = html(client, "/?sort=name")
    names = [unescape(name) for name in re.findall(r'class="name">(.*?)</bdi>', page)]
    assert names == sorted(names, key=str.casefold)
    assert 'aria-sort="ascending"' in page


def test_a_link_to_sort_turns_the_order_round_and_keeps_the_search(client: FlaskClient) -> None:
    page = html(client, "/?sort=prompt&order=asc&q=aurora")
    assert 'href="/?sort=prompt&amp;order=desc&amp;q=aurora"' in page
    assert 'href="/?sort=context&amp;order=desc&amp;q=aurora"' in page
    assert '<input type="hidden" name="sort" value="prompt">' in page


@pytest.mark.parametrize(
    ("query", "named"), [("sort=price", "sort"), ("sort=name&order=up", "order"), ("q=" + "x" * 101, "q")]
)
def test_a_parameter_that_cannot_be_used_is_named(client: FlaskClient, query: str, named: str) -> None:
    response = client.get(f"/?{query}")
    assert response.status_code == 400
    assert response.json["detail"].startswith(f"{named} must be ")


def test_parameters_left_empty_by_a_form_count_as_absent(client: FlaskClient) -> None:
    assert ids(html(client, "/?q=&sort=&order=")) == ids(html(client))


def test_age_next_run_last_run_and_problems_are_told(client: FlaskClient) -> None:
    told = text(html(client))
    assert "Prices less than a minute old revision 1, confirmed " in told
    assert re.search(r"Next run \d+ \w+, \d\d:\d\d UTC at the latest", told)
    assert re.search(r"Last run Refreshed \d+ \w+, \d\d:\d\d UTC · \d+ models, \d+ changed", told)
    assert "Cluster Degraded problems: redis, workers, schedule" in told
    assert "Redis: Redis failed (ConnectionError)" in told
    assert "127.0.0.1" not in told


def test_an_age_that_is_unknown_is_told_as_unknown(site: Site) -> None:
    site.refresh()
    site.confirm_ahead(timedelta(days=3))
    told = text(html(site.client()))
    assert "Prices Of unknown age revision 1, confirmed at a time that lies ahead" in told
    assert "Next run In a moment" in told
    assert (
        "Prices: the time of the last refresh lies ahead of the database's clock: their age is unknown"
        in told
    )


def test_a_failed_run_is_told_with_its_reason_while_the_prices_stay(site: Site) -> None:
    site.refresh()
    site.upstream.answer(status=503)
    with pytest.raises(RefreshFailedError):
        site.refresh(force=True)
    page = html(site.client())
    assert re.search(r"Last run Failed \d+ \w+, \d\d:\d\d UTC: upstream answered 503", text(page))
    assert "Prices: the last run failed: upstream answered 503" in text(page)
    assert len(ids(page)) > 50


def test_an_empty_catalogue_says_that_the_first_refresh_comes(site: Site) -> None:
    told = text(html(site.client()))
    assert "No prices yet The first refresh runs in a moment." in told
    assert "Prices None yet" in told
    assert "<table" not in told


def test_hostile_names_are_text(site: Site, page_upstream: Standin) -> None:
    page_upstream.answer(
        patch={
            "granite-bay/two-tiers": {"name": HOSTILE},
            "harbor-ai/gratis-4b": {"name": {"no": "text"}, "context_length": "many"},
            "quarry/expiring": {"name": "w" * 5000, "pricing.prompt": "1" + "0" * 38, 'pricing.<i>"x': "1"},
        }
    )
    site.refresh()
    page = html(site.client())
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page
    assert "<i>" not in page
    assert "w" * 161 not in page
    assert "≈1.000e+44" in row(page, "quarry/expiring")
    for sort in ("name", "context", "prompt"):
        assert len(ids(html(site.client(), f"/?sort={sort}"))) == len(ids(page))


def test_the_page_needs_no_inline_code_and_no_other_host(client: FlaskClient) -> None:
    page = html(client)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=)", page)
    assert not re.search(r"(?:src|href|action)=\"(?!/|#)", page)


def test_the_page_is_packed_for_clients_that_take_it(client: FlaskClient) -> None:
    packed = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert ids(gzip.decompress(packed.data).decode()) == ids(html(client))
    assert packed.headers["Cache-Control"] == "no-store"


ENTRY = """{"id":"maker/model-%d","name":"Model %d","context_length":%d,"prices":{"prompt":{"state":"priced",
"unit":"token","per_token":"0.000001","per_million":"%d","retail_per_token":"0.000001",
"retail_per_million":"1"}},"overrides":[],"cost_band":"low","flags":{"free":false},"valid_from":
"2026-08-06T12:00:00Z","valid_to":null,"revision":1,"held":null}"""


def long_list(client: FlaskClient, length: int) -> None:
    """Have an application serve a list of so many models."""
    entries = ",".join(ENTRY % (n, n, 1000 + n % 7, 1 + n % 50) for n in range(length)).encode()
    packed = gzip.compress(b'{"revision":1,"currency":"USD","data":[%b]}' % entries, 1)
    body = PublishedBody("", packed, b"", b"")
    snapshot = Snapshot(Stamp("long", datetime.now(UTC)), Publication(1, body, body, {}))
    client.application.extensions[EXTENSION].reader.current = lambda: snapshot


@pytest.fixture
def long(client: FlaskClient) -> FlaskClient:
    long_list(client, 2 * PART_ROWS + 5)
    return client


def test_a_list_longer_than_a_page_is_cut_into_parts_that_are_the_whole(long: FlaskClient) -> None:
    following: str | None = "/?sort=prompt&order=desc"
    pages_seen, seen = [], []
    while following:
        page = html(long, following)
        pages_seen.append(len(ids(page)))
        seen += ids(page)
        links = re.findall(r'<a rel="next" href="([^"]*)">', page)
        following = unescape(links[0]) if links else None
    assert pages_seen == [PART_ROWS, PART_ROWS, 5]
    assert len(set(seen)) == len(seen) == 2 * PART_ROWS + 5
    order = [int(model_id.rpartition("-")[2]) % 50 for model_id in seen]
    assert order == sorted(order, reverse=True)


def test_a_part_says_which_it_is_and_links_to_those_beside_it(long: FlaskClient) -> None:
    page = html(long, "/?q=MODEL-&page=2&sort=name&order=asc")
    assert "Previous 1,001 to 2,000 of 2,005 Next" in text(page)
    assert 'rel="prev" href="/?sort=name&amp;order=asc&amp;q=MODEL-"' in page
    assert 'rel="next" href="/?sort=name&amp;order=asc&amp;q=MODEL-&amp;page=3"' in page
    assert "data-cut" in page
    few = html(long, "/?q=model-200")
    assert len(ids(few)) == 1 + 5
    assert "6 of 2005 models" in text(few)
    assert '<nav class="parts"' not in few


def test_a_usual_list_is_one_page_without_parts(client: FlaskClient) -> None:
    page = html(client)
    assert '<nav class="parts"' not in page
    assert "data-cut" not in page
    long_list(client, PART_ROWS)
    assert len(ids(html(client))) == PART_ROWS
    assert '<nav class="parts"' not in html(client)


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("page=4", 404, "there is no page 4, the last is 3"),
        ("page=2&q=model-200", 404, "there is no page 2, the last is 1"),
        ("page=0", 400, "page must be a whole number from 1 to 999999"),
        ("page=", 400, "page must be a whole number from 1 to 999999"),
        ("page=1e3", 400, "page must be a whole number from 1 to 999999"),
        ("page=1&page=2", 400, "page is given 2 times: which of them is meant?"),
    ],
)
def test_a_page_that_is_not_there_is_named(query: str, status: int, detail: str, long: FlaskClient) -> None:
    answer = long.get(f"/?{query}")
    assert (answer.status_code, answer.json["detail"]) == (status, detail)


def test_a_page_of_100_000_models_costs_what_one_of_a_thousand_costs(client: FlaskClient) -> None:
    long_list(client, 100_000)
    html(client)  # which reads the list
    for query in ("", "?page=50", "?q=model-9", "?sort=context&order=desc", "?page=100&sort=prompt"):
        before = listing._shaped.cache_info().misses
        page = client.get(f"/{query}")
        assert page.status_code == 200
        assert len(page.data) < 1_500_000
        assert listing._shaped.cache_info().misses - before <= PART_ROWS
    assert listing._shaped.cache_info().currsize <= listing.MAX_SHAPED
    assert pages._listing.cache_info().currsize == 1
    began = time.monotonic()
    html(client, "/?page=2")
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "address", ["/", "/?q=nowhere", "/?sort=prompt", "/?sort=prompt&order=desc&q=nowhere", "/?page=2"]
)
def test_no_link_carries_a_parameter_without_a_value(address: str, long: FlaskClient) -> None:
    assert not re.findall(r'href="[^"]*=(?:&|")', html(long, address))


def test_a_changed_price_is_shown_without_a_restart(site: Site, client: FlaskClient) -> None:
    assert "|2.00|8.00|" in row(html(client), "granite-bay/two-tiers")
    site.upstream.answer(patch={"granite-bay/two-tiers": {"pricing.prompt": "0.0000021"}})
    site.refresh(force=True)
    deadline = time.monotonic() + 10
    while "|2.10|8.00|" not in row(html(client), "granite-bay/two-tiers"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("3", "3.00"),
        ("0.15", "0.15"),
        ("0.003625", "0.003625"),
        ("1234567.5", "1,234,567.50"),
        ("2.4999997201", "≈2.50"),
        ("0." + "9" * 30, "≈1.00"),
        ("0.000012345678", "≈0.00001235"),
        ("1" + "0" * 45, "≈1.000e+45"),
    ],
)
def test_amounts_are_exact_or_say_that_they_are_not(amount: str, told: str) -> None:
    shown = amount_shown(amount)
    assert (shown.text, shown.exact) == (told, amount if told.startswith("≈") else "")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "less than a minute"), (60, "1 min"), (10559, "2 h 55 min"), (86400 * 3 + 14400, "3 d 4 h")],
)
def test_ages_are_told_in_two_units_at_most(seconds: float, told: str) -> None:
    assert age_text(seconds) == told


def test_the_models_of_a_revision_are_shaped_for_display_once(site: Site) -> None:
    site.refresh()
    client = site.client()
    before = pages._listing.cache_info().misses, listing._shaped.cache_info().misses
    for _ in range(3):
        listed = len(ids(html(client)))
    shaped = listing._shaped.cache_info().misses - before[1]
    assert pages._listing.cache_info().misses == before[0] + 1
    assert 0 < shaped <= listed


def test_no_file_of_the_page_is_inline_or_large() -> None:
    for file in (Path(__file__).parents[2] / "web/static").iterdir():
        assert file.stat().st_size < 16_384, file
