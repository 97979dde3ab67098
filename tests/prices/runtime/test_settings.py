"""Settings: each is read once, refused by its name, and no secret is shown."""

import base64
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from prices.errors import SettingsError
from prices.runtime import settings as settings_module
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import make_engine

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def no_redis_of_make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "REDIS_URL_FILE", tmp_path / "redis.url")


def test_without_any_variable_everything_has_its_default() -> None:
    read = Settings.from_env({})
    assert read.database_url.startswith("sqlite:///")
    assert read.database_url.endswith("/var/pricebeat.sqlite3")
    assert read.redis_url == read.broker_url == "redis://localhost:6379/0"
    assert read.upstream_url == "https://openrouter.ai/api/v1"
    assert read.upstream_authorization is None
    assert read.refresh_interval == timedelta(hours=3)
    assert (read.lock_ttl, read.lock_lease) == (timedelta(seconds=1800), timedelta(seconds=60))
    assert (read.markup, read.log_format) == (Decimal(1), "console")


def test_an_empty_variable_counts_as_absent() -> None:
    names = (
        "DATABASE_URL",
        "REDIS_URL",
        "PRICE_MARKUP",
        "PRICE_LOCK_TTL",
        "LOG_FORMAT",
        "OPENROUTER_API_KEY",
    )
    assert Settings.from_env(dict.fromkeys(names, "  ")) == Settings.from_env({})


def test_the_redis_that_make_run_started_is_found_and_a_variable_wins(tmp_path: Path) -> None:
    (tmp_path / "redis.url").write_text("redis://:pw@127.0.0.1:7000/0\n")
    assert Settings.from_env({}).redis_url == "redis://:pw@127.0.0.1:7000/0"
    assert Settings.from_env({"REDIS_URL": "redis://other/1"}).redis_url == "redis://other/1"


def test_the_broker_is_redis_unless_it_is_named() -> None:
    read = Settings.from_env({"REDIS_URL": "redis://r/0", "CELERY_BROKER_URL": "amqp://b"})
    assert (read.redis_url, read.broker_url) == ("redis://r/0", "amqp://b")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_a_postgresql_address_is_understood(scheme: str) -> None:
    url = Settings.from_env({"DATABASE_URL": f"{scheme}://u:p@h:5433/db?sslmode=require"}).database_url
    assert url == "postgresql+psycopg://u:p@h:5433/db?sslmode=require"
    assert make_engine(url).dialect.name == "postgresql"


def test_the_last_slash_of_the_base_address_does_not_matter() -> None:
    assert Settings.from_env({"OPENROUTER_BASE_URL": "http://x/api/v1/"}).upstream_url == "http://x/api/v1"


@pytest.mark.parametrize(
    ("credentials", "pair"),
    [
        (f"user:{SECRET}", f"user:{SECRET}"),
        (f"user:a%2Fb%40c:{SECRET}%C3%A9", f"user:a/b@c:{SECRET}é"),
        (SECRET, f"{SECRET}:"),
        (f":{SECRET}", f":{SECRET}"),
    ],
)
@pytest.mark.parametrize("key", ["", "sk-or-key"])
def test_credentials_in_the_base_address_are_sent_as_basic_and_stand_nowhere_else(
    credentials: str, pair: str, key: str
) -> None:
    env = {"OPENROUTER_BASE_URL": f"https://{credentials}@h:8443/api/v1/", "OPENROUTER_API_KEY": key}
    read = Settings.from_env(env)
    assert read.upstream_url == "https://h:8443/api/v1"
    assert read.upstream_authorization == f"Basic {base64.b64encode(pair.encode()).decode()}"
    assert SECRET not in repr(read)


def test_bytes_that_are_no_utf8_in_credentials_are_sent_as_they_are() -> None:
    read = Settings.from_env({"OPENROUTER_BASE_URL": "https://u:\udcff@h"})
    assert read.upstream_authorization == f"Basic {base64.b64encode(bytes((117, 58, 255))).decode()}"


def test_values_are_read_in_their_units() -> None:
    read = Settings.from_env(
        {
            "PRICE_REFRESH_HOURS": "0.5",
            "PRICE_LOCK_TTL": "90",
            "PRICE_LOCK_LEASE": "1.5",
            "PRICE_MARKUP": "1.20",
            "LOG_FORMAT": "json",
            "DATABASE_URL": " postgres://h/db\n",
            "OPENROUTER_API_KEY": f" {SECRET}\n",
        }
    )
    assert read.refresh_interval == timedelta(minutes=30)
    assert read.database_url == "postgresql+psycopg://h/db"
    assert (read.lock_ttl, read.lock_lease) == (timedelta(seconds=90), timedelta(seconds=1.5))
    assert (str(read.markup), read.log_format) == ("1.20", "json")
    assert read.upstream_authorization == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "upstream",
    [
        "http://127.0.0.1:8080/api/v1",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://localhost:1",
        "http://up.localhost",
    ],
)
def test_an_upstream_on_this_machine_may_be_asked_as_often_as_one_likes(upstream: str) -> None:
    read = Settings.from_env({"OPENROUTER_BASE_URL": upstream, "PRICE_REFRESH_HOURS": "0.001"})
    assert read.refresh_interval == timedelta(seconds=3.6)


@pytest.mark.parametrize(
    "upstream",
    ["", "https://openrouter.ai/api/v1", "http://10.0.0.1", "http://localhost.example.org", "http://[::2]"],
)
def test_another_machine_is_asked_no_more_often_than_every_five_minutes(upstream: str) -> None:
    def interval(hours: str) -> timedelta:
        env = {"OPENROUTER_BASE_URL": upstream, "PRICE_REFRESH_HOURS": hours}
        return Settings.from_env(env).refresh_interval

    for hours in ("0.00001", "0.0833"):
        with pytest.raises(SettingsError, match="PRICE_REFRESH_HOURS must be five minutes or more"):
            interval(hours)
    assert interval("0.0834") >= timedelta(minutes=5)
    assert interval(str(5 / 60)) == timedelta(minutes=5)


def test_a_wait_after_a_failure_is_no_longer_than_ten_minutes_nor_than_the_interval() -> None:
    here = {"OPENROUTER_BASE_URL": "http://127.0.0.1:1"}
    assert Settings.from_env({}).retry_max == timedelta(minutes=10)
    assert Settings.from_env({"PRICE_RETRY_MAX": "60"}).retry_max == timedelta(minutes=1)
    assert Settings.from_env(here | {"PRICE_RETRY_MAX": "2"}).retry_max == timedelta(seconds=2)
    assert Settings.from_env(here | {"PRICE_REFRESH_HOURS": "0.001"}).retry_max == timedelta(seconds=3.6)


def test_a_lock_may_last_exactly_as_long_as_its_lease() -> None:
    read = Settings.from_env({"PRICE_LOCK_TTL": "60", "PRICE_LOCK_LEASE": "60"})
    assert read.lock_ttl == read.lock_lease == timedelta(seconds=60)


WRONG = {
    "DATABASE_URL": ["mysql://h/db", "nonsense", "sqlite", "postgres://h:port/db"],
    "REDIS_URL": ["http://h", "localhost:6379", "redis://[::1"],
    "OPENROUTER_BASE_URL": [
        "ftp://h",
        "openrouter.ai",
        "https://",
        "https://[",
        f"https://h/api/v1?key={SECRET}",
        f"https://u:p@h/api/v1#{SECRET}",
        f"https://u:{SECRET}#p@h",
        f"https://u:{SECRET}/p@h",
    ],
    "OPENROUTER_API_KEY": [f"{SECRET}\nX: y", f"{SECRET}é", f"{SECRET}\x7f"],
    "PRICE_REFRESH_HOURS": ["0", "-1", "three", "nan", "inf", "745", "1e999"],
    "PRICE_RETRY_MAX": ["0", "59", "x", "86401"],
    "PRICE_LOCK_TTL": ["0", "x", "86401", "59"],
    "PRICE_LOCK_LEASE": ["0", "-5", "nan", "1801"],
    "PRICE_MARKUP": ["0", "-1", "NaN", "Infinity", "1001", "x"],
    "PRICE_GUARD_FACTOR": ["1", "0.5", "1000001", "x"],
    "PRICE_GUARD_LOSS": ["0", "1.1", "x"],
    "PRICE_GUARD_GROWTH": ["0", "-1", "NaN", "1000001"],
    "PRICE_KEY_PREFIX": ["{staging}", "stag ing", "staging\n:", "é", "x" * 65],
    "LOG_FORMAT": ["xml", "JSON"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts], ids=ascii
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_env({name: text})
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REDIS_URL", f"redis://:{SECRET}#1@h:6379/0"),
        ("REDIS_URL", f"redis://user:{SECRET}@h:port/0"),
        ("DATABASE_URL", f"postgres://u:{SECRET}@h:port/db"),
    ],
)
def test_an_address_that_no_client_takes_is_refused_without_its_secret(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        Services.make(Settings.from_env({name: text}))
    assert SECRET not in str(refused.value)


def test_no_secret_is_shown() -> None:
    read = Settings.from_env(
        {
            "DATABASE_URL": f"postgres://u:{SECRET}@h/db",
            "REDIS_URL": f"redis://:{SECRET}@h/0",
            "CELERY_BROKER_URL": f"amqp://u:{SECRET}@h",
            "OPENROUTER_BASE_URL": f"https://u:{SECRET}@h/api/v1",
            "OPENROUTER_API_KEY": SECRET,
        }
    )
    assert SECRET not in repr(read) + str(read)
    assert SECRET not in repr(Services.make(read))
