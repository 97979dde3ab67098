"""The service's settings, read from environment variables once and handed on as one frozen value."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from prices.errors import SettingsError
from prices.runtime.addresses import (
    address,
    database_address,
    is_loopback,
    upstream_address,
    with_certificates,
)

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
REDIS_URL_FILE = VAR / "redis.url"
"""Where `make run` writes the address of the Redis it started, so that other shells find it."""

DEFAULT_DATABASE_URL = f"sqlite:///{VAR / 'pricebeat.sqlite3'}"
DEFAULT_REDIS_URL = "redis://localhost:6379/0"
MAX_WORKERS = 256
SHORTEST_INTERVAL = timedelta(minutes=5)
"""How often another machine may be asked; a stand-in on this one may be asked as often as one likes."""
SHORTEST_RETRY_MAX = timedelta(minutes=1)
"""How often another machine may be asked while it fails."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. URLs and keys may hold secrets and are left out of `repr`."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    key_prefix: str
    upstream_url: str = field(repr=False)
    upstream_authorization: str | None = field(repr=False)
    refresh_interval: timedelta
    retry_max: timedelta
    lock_ttl: timedelta
    lock_lease: timedelta
    markup: Decimal
    guard_factor: Decimal
    guard_loss: Decimal
    guard_growth: Decimal
    log_format: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from `env` (the process's environment unless given).

        An empty variable counts as absent. Raises SettingsError that names the variable.
        """
        env = {name: text for name, text in (os.environ if env is None else env).items() if text.strip()}
        redis_url = address(env, "REDIS_URL", _local_redis_url, ("redis", "rediss", "unix"))
        redis_url = with_certificates("REDIS_URL", redis_url)
        lease = _seconds(env, "PRICE_LOCK_LEASE", 60)
        ttl = _seconds(env, "PRICE_LOCK_TTL", 1800)
        if ttl < lease:
            raise SettingsError("PRICE_LOCK_TTL must not be shorter than PRICE_LOCK_LEASE")
        upstream_url, upstream_authorization = upstream_address(env)
        interval = timedelta(hours=_number(env, "PRICE_REFRESH_HOURS", "3", most=24 * 31))
        retry_max = _seconds(env, "PRICE_RETRY_MAX", 600)
        if not is_loopback(urlsplit(upstream_url).hostname or ""):
            _refuse_haste(
                env, "PRICE_REFRESH_HOURS", interval, SHORTEST_INTERVAL, "five minutes or more (0.0834)"
            )
            _refuse_haste(env, "PRICE_RETRY_MAX", retry_max, SHORTEST_RETRY_MAX, "a minute or more (60)")
        return cls(
            database_url=database_address(env.get("DATABASE_URL", DEFAULT_DATABASE_URL)),
            redis_url=redis_url,
            broker_url=with_certificates("CELERY_BROKER_URL", env.get("CELERY_BROKER_URL", redis_url)),
            key_prefix=_key_prefix(env),
            upstream_url=upstream_url,
            upstream_authorization=upstream_authorization,
            refresh_interval=interval,
            retry_max=min(interval, retry_max),
            lock_ttl=ttl,
            lock_lease=lease,
            markup=_decimal(env, "PRICE_MARKUP", "1", most=1000),
            guard_factor=_decimal(env, "PRICE_GUARD_FACTOR", "10", least=1, most=1_000_000),
            guard_loss=_decimal(env, "PRICE_GUARD_LOSS", "0.5", most=1),
            guard_growth=_decimal(env, "PRICE_GUARD_GROWTH", "1", most=1_000_000),
            log_format=_choice(env, "LOG_FORMAT", "console", ("console", "json")),
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the web process listens, and with how many workers."""

    host: str
    port: int
    workers: int
    access_log: bool

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "ServerSettings":
        """Read the settings as `Settings.from_env` does. Raises SettingsError that names the variable."""
        env = {name: text for name, text in (os.environ if env is None else env).items() if text.strip()}
        return cls(
            host=env.get("HOST", "0.0.0.0").strip(),  # noqa: S104 - a platform's router comes from outside
            port=_whole(env, "PORT", 8000, most=65535),
            workers=_whole(env, "WEB_CONCURRENCY", min(os.cpu_count() or 1, MAX_WORKERS), most=MAX_WORKERS),
            access_log=_choice(env, "WEB_ACCESS_LOG", "off", ("off", "on")) == "on",
        )


def _local_redis_url() -> str:
    try:
        return REDIS_URL_FILE.read_text().strip() or DEFAULT_REDIS_URL
    except OSError:
        return DEFAULT_REDIS_URL


def _refuse_haste(env: Mapping[str, str], name: str, span: timedelta, least: timedelta, text: str) -> None:
    if span < least:
        raise SettingsError(
            f"{name} must be {text}, not {env[name]!r}:"
            " only an OPENROUTER_BASE_URL on this machine may be asked more often"
        )


def _key_prefix(env: Mapping[str, str]) -> str:
    """Read what stands before every key; a brace in it would move our keys into other hash slots."""
    text = env.get("PRICE_KEY_PREFIX", "").strip()
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{0,64}", text):
        raise SettingsError("PRICE_KEY_PREFIX may hold letters, digits and _ . : - only, at most 64 of them")
    return text


def _number(env: Mapping[str, str], name: str, default: str, *, most: float) -> float:
    text = env.get(name, default)
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= most:
        raise SettingsError(f"{name} must be a number above 0 and at most {most:g}, not {text!r}")
    return number


def _whole(env: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    text = env.get(name, str(default)).strip()
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= most):
        raise SettingsError(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def _seconds(env: Mapping[str, str], name: str, default: int) -> timedelta:
    """Read seconds; Redis keeps a lease no finer than milliseconds."""
    return max(timedelta(milliseconds=100), timedelta(seconds=_number(env, name, str(default), most=86400)))


def _decimal(env: Mapping[str, str], name: str, default: str, *, least: int = 0, most: int) -> Decimal:
    text = env.get(name, default)
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and least < number <= most):
        raise SettingsError(f"{name} must be a number above {least} and at most {most}, not {text!r}")
    return number


def _choice(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    text = env.get(name, default)
    if text not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {text!r}")
    return text
