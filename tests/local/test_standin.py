"""The stand-in OpenRouter behaves as its users in tests and benchmarks are told it does."""

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.client import HTTPConnection, HTTPException, IncompleteRead
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openrouter
import pytest

from local.standin import catalogue
from local.standin.client import NOON, Standin
from local.standin.moves import STEP, mirrored
from tests.support.ports import free_port

Rows = dict[str, dict[str, Any]]
NOON_TIME = datetime.fromisoformat(NOON)


pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def shared() -> Iterator[Standin]:
    with Standin(models=60) as standin:
        yield standin


@pytest.fixture
def standin(shared: Standin) -> Standin:
    shared.clear()
    shared.forget()
    shared.time(now=NOON, speed=0)
    return shared


class Got:
    """A response read to its end."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.body)["data"]
        return rows


def get(standin: Standin, query: str = "", path: str = "/models", timeout: float = 10, **headers: str) -> Got:
    url = urlsplit(standin.base_url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", f"{url.path}{path}{query}", headers=named)
        response = connection.getresponse()
        shown = {name.lower(): value for name, value in response.getheaders()}
        return Got(response.status, shown, response.read())
    finally:
        connection.close()


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def rows_at(now: datetime, count: int = 420) -> Rows:
    return {row["id"]: row for row in catalogue.items(count, now)}


def pricing(slug: str, now: datetime = NOON_TIME) -> dict[str, Any]:
    prices: dict[str, Any] = rows_at(now, len(catalogue.ODDITIES))[slug]["pricing"]
    return prices


# The catalogue


def test_the_official_sdk_accepts_the_catalogue_at_any_hour_of_a_day() -> None:
    with Standin() as standin, openrouter.OpenRouter(api_key="x", server_url=standin.base_url) as client:
        for _ in range(4):
            listed = client.models.list()
            assert listed is not None
            assert listed.result.total_count == len(listed.result.data) > 400
            standin.time(advance=6 * 3600)


def test_a_body_of_420_models_is_as_large_as_upstreams() -> None:
    body = catalogue.body(420, NOON_TIME)
    assert 600_000 < len(body) < 800_000
    assert 40_000 < len(gzip.compress(body)) < 100_000


def test_ids_are_unique_and_the_newest_model_comes_first() -> None:
    rows = catalogue.items(5000, NOON_TIME)
    assert len({row["id"] for row in rows}) == len(rows)
    created = [row["created"] for row in rows]
    assert created == sorted(created, reverse=True)
    assert created[-1] > 0


def test_every_odd_model_of_the_table_is_listed_at_noon() -> None:
    assert rows_at(NOON_TIME).keys() >= catalogue.ODDITIES.keys()


def test_every_kind_of_odd_price_occurs() -> None:
    assert pricing("openrouter/auto") == {"prompt": "-1", "completion": "-1"}
    assert [key for key, price in pricing("harbor-ai/pilot-lens").items() if price == "-1"] == ["image"]
    assert pricing("harbor-ai/pilot-minus")["request"] == "-0"
    assert Decimal(pricing("tidewater/longtail-70b")["prompt"]).as_tuple().exponent == -23
    assert pricing("harbor-ai/discounted")["discount"] == 0.25
    assert Decimal(pricing("harbor-ai/not-really:free")["prompt"]) > 0
    assert pricing("harbor-ai/gratis-4b")["prompt"] == "0"
    assert len(pricing("lumenforge/omni")) == 14
    assert len(pricing("granite-bay/two-tiers")["overrides"]) == 2


def test_every_kind_of_odd_field_occurs() -> None:
    rows = rows_at(NOON_TIME)
    slugs = [row["canonical_slug"] for row in rows.values()]
    assert slugs.count("lumenforge/aurora-5-20260701") == 8
    assert rows["quarry/context-zero"]["context_length"] == 0
    assert rows["quarry/context-null"]["context_length"] is None
    assert rows["quarry/expiring"]["expiration_date"]
    assert rows["quarry/novelty"]["mood"]
    assert rows["~lumenforge/aurora-latest"]["alias_target"]["slug"] in rows


def test_the_top_level_price_is_that_of_the_window_in_force() -> None:
    seen = [
        (hour, pricing("deepwell/night-flash", NOON_TIME.replace(hour=hour, minute=minute))["prompt"])
        for hour, minute in ((0, 29), (0, 30), (16, 29), (16, 30), (23, 59))
    ]
    night, day = "0.0000002", "0.0000004"
    assert [price for _, price in seen] == [night, day, day, night, night]


def test_a_windows_weekdays_are_heeded() -> None:
    thursday, saturday = NOON_TIME, NOON_TIME + timedelta(days=2)
    assert pricing("deepwell/weekdays", thursday)["prompt"] == "0.0000025"
    assert pricing("deepwell/weekdays", saturday)["prompt"] == "0.000002"


def test_later_windows_win_per_key() -> None:
    always = {"utc_start": 0, "utc_end": 2400}
    prices = {
        "prompt": "1",
        "completion": "1",
        "overrides": [{**always, "prompt": "2"}, {**always, "prompt": "3"}],
    }
    assert mirrored(prices, NOON_TIME) == {**prices, "prompt": "3"}


def test_a_few_prices_move_in_each_step_and_hundreds_of_keys_flap_in_some() -> None:
    def stirred(before: Rows, after: Rows) -> tuple[int, int]:
        both = (before.keys() & after.keys()) - catalogue.ODDITIES.keys()
        old, new = ({slug: rows[slug]["pricing"] for slug in both} for rows in (before, after))
        moved = sum(old[slug]["completion"] != new[slug]["completion"] for slug in both)
        return moved, sum(old[slug].keys() != new[slug].keys() for slug in both)

    days = [rows_at(NOON_TIME + STEP * step) for step in range(17)]
    moves, flaps = zip(*(stirred(*pair) for pair in pairwise(days)), strict=True)
    assert max(moves) <= 4
    assert 1 <= sum(moves) / len(moves) <= 4
    assert 230 <= max(flaps) <= 300


def test_models_leave_and_come_back() -> None:
    listed = [rows_at(NOON_TIME + STEP * step).keys() for step in range(0, 64, 4)]
    left = [slug for slug in listed[0] if any(slug not in later for later in listed)]
    assert len(left) > 30
    assert any(slug in listed[-1] for slug in left)


def test_false_zeros_and_tenfold_moves_happen_and_end() -> None:
    at_ten = NOON_TIME.replace(hour=10)
    assert pricing("glimmer/zero-hour", at_ten)["prompt"] == "0"
    assert pricing("glimmer/zero-hour", NOON_TIME)["prompt"] != "0"
    at_six = NOON_TIME.replace(hour=18)
    assert pricing("glimmer/tenfold-blip", at_six)["prompt"] == "0.00004"
    assert pricing("glimmer/tenfold-blip", NOON_TIME)["prompt"] == "0.000002"
    nine_weeks = [NOON_TIME + timedelta(weeks=week) for week in range(9)]
    assert [pricing("glimmer/zero-weeks", now)["prompt"] for now in nine_weeks].count("0") == 3
    weeks = [
        pricing("glimmer/tenfold-genuine", NOON_TIME + timedelta(weeks=week))["prompt"] for week in (0, 1)
    ]
    assert sorted(weeks) == ["0.000002", "0.000024"]


def test_the_body_is_constant_while_the_time_stands_still(standin: Standin) -> None:
    bodies = {get(standin).body for _ in range(5)}
    assert bodies == {catalogue.body(60, NOON_TIME)}
    assert datetime.fromisoformat(standin.time()["now"]) == NOON_TIME


def test_the_body_follows_the_virtual_time(standin: Standin) -> None:
    before = get(standin).body
    assert standin.time(advance=3 * 3600)["now"].startswith("2026-08-06T15:00")
    assert get(standin).body != before
    standin.time(now=NOON)
    assert get(standin).body == before


def test_the_virtual_time_runs_at_its_speed(standin: Standin) -> None:
    began = time.monotonic()
    standin.time(speed=36_000)
    now = NOON_TIME
    while now < NOON_TIME + timedelta(hours=1):
        now = datetime.fromisoformat(standin.time()["now"])
    assert (now - NOON_TIME).total_seconds() <= 36_000 * (time.monotonic() - began)


# HTTP


def test_a_list_comes_with_upstreams_headers(standin: Standin) -> None:
    got = get(standin)
    assert got.status == 200
    assert got.headers["cache-control"] == "public, max-age=120, stale-while-revalidate=3600"
    assert "etag" not in got.headers
    assert "content-encoding" not in got.headers


def test_a_list_is_compressed_for_whoever_accepts_gzip(standin: Standin) -> None:
    got = get(standin, accept_encoding="br, gzip")
    assert got.headers["content-encoding"] == "gzip"
    assert gzip.decompress(got.body) == get(standin).body


def test_pages_are_served_only_when_asked_for(standin: Standin) -> None:
    whole = get(standin).rows
    assert get(standin, "?limit=10").rows == whole[:10]
    assert get(standin, "?offset=10&limit=20").rows == whole[10:30]
    page = json.loads(get(standin, "?limit=10").body)
    assert page["total_count"] == len(whole)
    assert page["links"] == {"next": "/api/v1/models?offset=10&limit=10"}
    assert get(standin, "?offset=0&limit=500").body == get(standin).body


def test_on_command_pages_are_served_unasked(standin: Standin) -> None:
    whole = get(standin).rows
    standin.answer(page_size=25)
    rows, query = [], ""
    while True:
        page = json.loads(get(standin, query).body)
        rows += page["data"]
        assert page["total_count"] == len(whole)
        if (following := page["links"]["next"]) is None:
            break
        query = following.removeprefix("/api/v1/models")
    assert rows == whole


def test_the_envelope_says_what_it_is_told(standin: Standin) -> None:
    standin.answer(page_size=10, envelope={"links": {"next": "http://elsewhere/"}, "news": [1]})
    page = json.loads(get(standin).body)
    assert len(page["data"]) == 10
    assert (page["links"], page["news"]) == ({"next": "http://elsewhere/"}, [1])


@pytest.mark.parametrize("query", ["?limit=1001", "?limit=0", "?offset=-1", "?offset=x"])
def test_a_page_that_cannot_be_is_refused_in_upstreams_error_shape(standin: Standin, query: str) -> None:
    got = get(standin, query)
    assert got.status == 400
    assert json.loads(got.body)["error"]["code"] == 400


def test_an_unknown_path_is_not_found_in_upstreams_error_shape(standin: Standin) -> None:
    got = get(standin, path="/nothing")
    assert (got.status, json.loads(got.body)) == (404, {"error": {"code": 404, "message": "Not Found"}})


def test_a_connection_serves_several_requests(standin: Standin) -> None:
    url = urlsplit(standin.base_url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=10)
    connection.connect()
    used = connection.sock
    for _ in range(3):
        connection.request("GET", f"{url.path}/models")
        connection.getresponse().read()
        assert connection.sock is used
    connection.close()


# Counting


def test_requests_are_counted_without_keeping_secrets(standin: Standin) -> None:
    get(standin, authorization="Bearer secret", user_agent="tester/1")
    seen = standin.requests()
    assert (seen["received"], seen["completed"]) == (1, 1)
    entry = seen["log"][0]
    assert entry["headers"] == {
        "user-agent": "tester/1",
        "authorization": True,
        "accept-encoding": "identity",
    }
    assert (entry["path"], entry["status"], entry["completed"]) == ("/api/v1/models", 200, True)
    assert "secret" not in json.dumps(seen)
    standin.forget()
    assert standin.requests()["received"] == 0


def test_a_body_counts_as_completed_as_soon_as_the_client_has_it(standin: Standin) -> None:
    for number in range(1, 21):
        get(standin)
        assert standin.requests()["completed"] == number


def test_errors_and_cut_bodies_do_not_count_as_completed(standin: Standin) -> None:
    standin.answer({"status": 503, "times": 1}, {"cut": 100, "times": 1})
    assert get(standin).status == 503
    with pytest.raises(IncompleteRead) as cut:
        get(standin)
    assert len(cut.value.partial) == 100
    assert (standin.requests()["received"], standin.requests()["completed"]) == (2, 0)


# Answers on command


def test_an_answer_holds_for_as_many_requests_as_it_says(standin: Standin) -> None:
    standin.answer(status=429, headers={"Retry-After": "7"}, times=2)
    got = [get(standin) for _ in range(3)]
    assert [one.status for one in got] == [429, 429, 200]
    assert got[0].headers["retry-after"] == "7"
    assert json.loads(got[0].body) == {"error": {"code": 429, "message": "Too Many Requests"}}


def test_an_answer_without_times_holds_until_cleared(standin: Standin) -> None:
    standin.answer(empty_list=True)
    assert [get(standin).rows for _ in range(2)] == [[], []]
    standin.clear()
    assert get(standin).rows


@pytest.mark.parametrize(
    "wrong", [{"statsu": 500}, {"status": "500"}, {"times": True}, {"gate": {"hold_on": 1}}]
)
def test_a_misspelt_answer_is_refused(standin: Standin, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown|wrong type"):
        standin.answer(**wrong)


def test_bodies_are_replaced_by_text_json_html_or_garbage(standin: Standin) -> None:
    standin.answer(
        {"body": "{", "times": 1},
        {"body_json": {"data": None}, "times": 1},
        {"html": True, "times": 1},
        {"garbage": 1000, "times": 1},
    )
    text, value, page, noise = (get(standin) for _ in range(4))
    assert text.body == b"{"
    assert json.loads(value.body) == {"data": None}
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(noise.body) == 1000


def test_rows_are_altered_dropped_appended_and_limited(standin: Standin) -> None:
    standin.answer(
        patch={
            "lumenforge/aurora-5": {"pricing.prompt": 1e-7, "-pricing.completion": None},
            "granite-bay/two-tiers": {"pricing.overrides.1.prompt": "NaN"},
            "harbor-ai/gratis-4b": {"-pricing": None},
            "harbor-ai/discounted": {"pricing": None},
        },
        drop=["openrouter/auto"],
        append=[{"id": "lumenforge/aurora-5"}, "no row"],
    )
    *rows, twin, stray = get(standin).rows
    by_id = {row["id"]: row for row in rows}
    assert by_id["lumenforge/aurora-5"]["pricing"] == {"prompt": 1e-7}
    assert by_id["granite-bay/two-tiers"]["pricing"]["overrides"][1]["prompt"] == "NaN"
    assert "pricing" not in by_id["harbor-ai/gratis-4b"]
    assert by_id["harbor-ai/discounted"]["pricing"] is None
    assert "openrouter/auto" not in by_id
    assert [twin, stray] == [{"id": "lumenforge/aurora-5"}, "no row"]
    standin.answer(items=3)
    assert len(get(standin).rows) == 3


def test_a_delay_comes_before_the_first_byte(standin: Standin) -> None:
    standin.answer(delay=0.2)
    began = time.monotonic()
    get(standin)
    assert time.monotonic() - began >= 0.2


def test_a_dripping_body_takes_its_time_and_arrives_whole(standin: Standin) -> None:
    standin.answer(body="x" * 100, drip=400)
    began = time.monotonic()
    assert get(standin).body == b"x" * 100
    assert time.monotonic() - began >= 0.2


def test_a_large_body_is_streamed_for_as_many_bytes_as_asked(standin: Standin) -> None:
    standin.answer(size=3_000_000)
    got = get(standin)
    assert got.headers["transfer-encoding"] == "chunked"
    assert len(got.body) == 3_000_000
    assert got.body.startswith(b'{"data":[{"id":')


def test_a_gzip_bomb_is_small_until_it_is_opened(standin: Standin) -> None:
    standin.answer(size=3_000_000, gzip_bomb=True)
    got = get(standin)
    assert got.headers["content-encoding"] == "gzip"
    assert len(got.body) < 30_000
    assert len(gzip.decompress(got.body)) == 3_000_000


def test_a_hanging_request_is_never_answered(standin: Standin) -> None:
    standin.answer(hang=True)
    with pytest.raises(TimeoutError):
        get(standin, timeout=0.2)
    assert standin.requests()["log"][0]["status"] is None


def test_a_connection_is_reset_at_once_or_after_some_bytes(standin: Standin) -> None:
    standin.answer({"reset": True, "times": 1}, {"reset": True, "cut": 10, "times": 1})
    for _ in range(2):
        with pytest.raises((ConnectionResetError, HTTPException)) as broken:
            get(standin)
        assert not isinstance(broken.value, IncompleteRead)
    assert standin.requests()["completed"] == 0


def test_redirects_lead_elsewhere_or_round_and_round_to_the_list(standin: Standin) -> None:
    standin.answer(
        {"redirect": "http://127.0.0.1:1/", "status": 308, "times": 1}, {"redirect": 2, "times": 1}
    )
    away = get(standin)
    assert (away.status, away.headers["location"]) == (308, "http://127.0.0.1:1/")
    prefix, path, hops = "/api/v1", "/models", []
    while (got := get(standin, path=path)).status == 302:
        path = got.headers["location"].removeprefix(prefix)
        hops.append(path)
    assert hops == ["/models/hops/1", "/models/hops/0"]
    assert got.rows


@pytest.mark.parametrize("after_bytes", [0, 1000])
def test_the_gate_holds_a_request_until_released(standin: Standin, after_bytes: int) -> None:
    standin.answer(gate={"hold": True, "after_bytes": after_bytes}, times=1)
    bodies: list[bytes] = []
    held = in_background(lambda: bodies.append(get(standin).body))
    assert standin.wait_for(held=1)["completed"] == 0
    passing = get(standin).body
    assert bodies == []
    assert standin.release() == 1
    held.join(10)
    assert bodies == [passing]


def test_a_gate_is_open_after_its_release(standin: Standin) -> None:
    standin.answer(gate={"hold": True})
    held = in_background(lambda: get(standin))
    standin.wait_for(held=1)
    standin.release()
    held.join(10)
    assert get(standin).status == 200


# Replay


def test_a_replay_serves_the_newest_body_not_later_than_the_time_verbatim(tmp_path: Path) -> None:
    early, late = b'{ "data": [ ] }', b'{"data":[ {"id": "a/b"}]}'
    (tmp_path / "2026-02-12T1223Z.json.gz").write_bytes(gzip.compress(early))
    (tmp_path / "2026-08-06T1244Z.json").write_bytes(late)
    (tmp_path / "notes.json").write_text("not a body")
    with Standin(replay=tmp_path, start="2020-01-01") as standin:
        assert get(standin).body == early
        standin.time(now="2026-08-06T12:43:59Z")
        assert get(standin).body == early
        standin.time(now="2026-08-06T12:44Z")
        assert get(standin).body == late


def test_a_single_recorded_body_is_served_at_any_time(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"data":[]}')
    with Standin(replay=file, start=datetime(1999, 1, 1, tzinfo=UTC).isoformat()) as standin:
        assert get(standin).body == b'{"data":[]}'


# The process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_when_it_is_ready_and_ends_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "local.standin", "--models", "3"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        attached = Standin.attach(line.removeprefix("listening on ").strip())
        attached.answer(hang=True)
        with socket.create_connection(("127.0.0.1", urlsplit(attached.base_url).port or 0)) as hanging:
            hanging.sendall(b"GET /api/v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
            attached.wait_for(held=1)
            process.send_signal(number)
            assert process.communicate(timeout=5) == ("", "")
        assert process.returncode == 0


def test_a_stopped_standin_comes_back_on_the_same_port() -> None:
    with Standin(models=3, port=free_port()) as standin:
        before = standin.base_url
        standin.stop()
        with pytest.raises(ConnectionRefusedError):
            get(standin)
        standin.start()
        assert standin.base_url == before
        assert get(standin).status == 200


def test_a_standin_ends_with_whoever_started_it() -> None:
    command = [sys.executable, "-m", "local.standin", "--models", "3", "--until-eof"]
    pipe = subprocess.PIPE
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ")
        assert process.communicate(timeout=5) == ("", "")
        assert process.returncode == 0
