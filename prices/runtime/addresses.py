"""The addresses of stores and of upstream, understood in the spellings that platforms and clients use.

Left to themselves the clients of Redis over TLS (redis-py, kombu, Celery's results) differ: without
`ssl_cert_reqs` redis-py asks for certificates, kombu takes any, and Celery's results refuse to start; and
each knows other words for it.
"""

import base64
import ipaddress
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from prices.errors import SettingsError

DEFAULT_UPSTREAM_URL: Final = "https://openrouter.ai/api/v1"
_OPTION: Final = "ssl_cert_reqs"
_WORDS: Final = ("required", "optional", "none")


def database_address(url: str) -> str:
    """Understand the spellings that platforms use; SQLAlchemy 2 refuses `postgres://`."""
    scheme, mark, rest = url.strip().partition("://")
    if mark and scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg"
    if not mark or scheme not in ("sqlite", "postgresql+psycopg"):
        raise SettingsError("DATABASE_URL must start with sqlite:// or postgresql://")
    try:
        urlsplit(f"{scheme}://{rest}").port  # noqa: B018 - it raises where the port is none
    except ValueError:
        raise SettingsError("DATABASE_URL is no address that a database can have") from None
    return f"{scheme}://{rest}"


def address(env: Mapping[str, str], name: str, default: Callable[[], str], schemes: tuple[str, ...]) -> str:
    """Read an address of one of these schemes. Raises SettingsError that names the variable."""
    url = env[name].strip() if name in env else default()
    if url.partition("://")[0] not in schemes:
        raise SettingsError(f"{name} must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    try:
        parts = urlsplit(url)
        usable = bool(parts.port or parts.hostname or parts.scheme == "unix")
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{name} is no address: write special characters in it as %XX")
    return url


def upstream_address(env: Mapping[str, str]) -> tuple[str, str | None]:
    """Give upstream's address, and what is sent there as `Authorization`.

    Credentials in the address are sent as Basic (RFC 7617), in the place of the key, and stand nowhere else:
    the address names in the stash where a body came from.
    """
    url = urlsplit(address(env, "OPENROUTER_BASE_URL", lambda: DEFAULT_UPSTREAM_URL, ("http", "https")))
    if url.query or url.fragment:
        raise SettingsError("OPENROUTER_BASE_URL must have no query and no fragment")
    key = _header_text(env, "OPENROUTER_API_KEY")
    credentials, _at, host = url.netloc.rpartition("@")
    base_url = urlunsplit((url.scheme, host, url.path.rstrip("/"), "", ""))
    if not credentials:
        return base_url, f"Bearer {key}" if key else None
    user, _colon, password = credentials.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode(errors="surrogateescape")
    return base_url, f"Basic {base64.b64encode(pair).decode()}"


def _header_text(env: Mapping[str, str], name: str) -> str | None:
    text = env.get(name, "").strip()
    if not text.isascii() or not text.isprintable():
        raise SettingsError(f"{name} holds characters that no HTTP header can carry")
    return text or None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761: never another machine


def with_certificates(name: str, url: str) -> str:
    """Give an address, or several with `;` between them, that says whether certificates are asked for.

    They are, unless it says otherwise. Raises SettingsError that names the variable.
    """
    return ";".join(_with_certificates(name, one) for one in url.split(";"))


def _with_certificates(name: str, url: str) -> str:
    scheme = url.partition("://")[0]
    if scheme not in ("redis", "rediss"):
        return url
    base, _mark, query = url.partition("?")
    options = [option for option in query.split("&") if option]
    if scheme == "redis":
        if any(option.startswith("ssl_") for option in options):
            raise SettingsError(f"{name} has options of TLS: it must start with rediss://")
        return url
    values = [option.partition("=")[2] for option in options if option.partition("=")[0] == _OPTION]
    word = (values or ["required"])[-1].lower().removeprefix("cert_")
    if word not in _WORDS:
        raise SettingsError(f"{name} must have {_OPTION}={', '.join(_WORDS[:-1])} or {_WORDS[-1]}")
    others = [option for option in options if option.partition("=")[0] != _OPTION]
    return f"{base}?{'&'.join([*others, f'{_OPTION}={word}'])}"
