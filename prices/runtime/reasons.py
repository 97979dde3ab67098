"""What a failure of a store or of upstream means, and what to set: no address, name or secret is told.

What the driver said has hosts, users and files in it. It stays the error's cause, for the log.
"""

import re
from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """What to say of a failure, told by a server's `codes` or, where there is none, by a driver's `words`.

    A code of SQLite stands for its extended ones, too: SQLITE_BUSY for SQLITE_BUSY_SNAPSHOT.
    """

    text: str
    codes: str = ""
    words: str = ""


def _network(check: str) -> tuple[Meaning, ...]:
    hosts = "name resolution|Name or service not known|nodename nor servname|No address associated|resolve"
    return (
        Meaning(f"no address is known for its host name: check {check}", words=hosts),
        Meaning(
            f"nothing listens at its address: is it running? Check {check}",
            words="Connection refused|No such file or directory",
        ),
        Meaning(
            f"no network leads to its address: check {check}", words="No route to host|Network is unreachable"
        ),
        Meaning(
            f"its certificate cannot be trusted, or is for another name: check {check}", words="certificate"
        ),
        Meaning(f"no agreement on TLS: check {check}", words="SSL|TLS|no encryption"),
        Meaning("no answer came in time", words="[Tt]imed? ?-?out|TimeoutError|no answer came in time"),
        Meaning("the connection was cut off", words="reset|closed|[Bb]roken|EOF|aborted"),
    )


_FULL: Final = "it allows no more connections: see the budget in docs/operations.md"
# The first that fits is said.
_DATABASE: Final = (
    Meaning(
        "it refuses the password: correct DATABASE_URL",
        "28P01",
        "password authentication failed|no password supplied",
    ),
    Meaning(
        "it does not let this user in from here: correct DATABASE_URL, or pg_hba.conf",
        "28000",
        'role ".*" does not exist|pg_hba.conf|not permitted to log in|authentication failed',
    ),
    Meaning(
        "there is no such database: create it, or correct DATABASE_URL",
        "3D000",
        'database ".*" does not exist',
    ),
    Meaning(_FULL, "53300", "too many (clients|connections)|connection slots are reserved"),
    Meaning("its disk is full: make room", "53100 SQLITE_FULL"),
    Meaning("it has no memory left", "53200 SQLITE_NOMEM"),
    Meaning("it is starting, stopping or recovering", "57P03", "the database system is"),
    Meaning("it was stopped", "57P01 57P02", "terminating connection due to administrator"),
    Meaning("a question took longer than it may", "57014"),
    Meaning("another holds it locked for longer than anybody waits", "55P03 SQLITE_BUSY SQLITE_LOCKED"),
    Meaning("this process stood still in a transaction", "25P03"),
    Meaning(
        "it cannot be written to: DATABASE_URL must lead to a primary, or to a file that this user may write",
        "25006 SQLITE_READONLY",
    ),
    Meaning("this user may not do that: grant it, or correct DATABASE_URL", "42501 SQLITE_PERM SQLITE_AUTH"),
    Meaning(
        "its file cannot be opened: set DATABASE_URL to one in a folder that this user may write",
        "SQLITE_CANTOPEN",
    ),
    Meaning(
        "its file is damaged, or no SQLite database: restore a backup, or correct DATABASE_URL",
        "SQLITE_CORRUPT SQLITE_NOTADB",
    ),
    Meaning("its disk failed", "58030 SQLITE_IOERR"),
    *_network("DATABASE_URL"),
)
_REDIS: Final = (
    Meaning("it refuses the password: correct REDIS_URL", "WRONGPASS", "invalid (username-)?password"),
    Meaning("it asks for a password: put it into REDIS_URL", "NOAUTH", "Authentication required"),
    Meaning(
        "it has no password: take it out of REDIS_URL",
        words="without any password configured|no password is set",
    ),
    Meaning("this user may not do that: correct its rights, or REDIS_URL", "NOPERM"),
    Meaning("its memory is full: raise its maxmemory", "OOM"),
    Meaning("it is a replica, and cannot be written to: REDIS_URL must lead to the primary", "READONLY"),
    Meaning("it cannot save to its disk, and takes nothing more: look at its log", words="MISCONF"),
    Meaning("it is starting, and reads its data", "LOADING"),
    Meaning("its primary is away", "MASTERDOWN CLUSTERDOWN"),
    Meaning(_FULL, words="max number of clients"),
    *_network("REDIS_URL"),
)
_UPSTREAM: Final = (
    Meaning("the proxy did not let it through: check HTTPS_PROXY", words="ProxyError"),
    Meaning("what it sent cannot be unpacked", words="ContentDecodingError|DecodeError"),
    *_network("the network and OPENROUTER_BASE_URL"),
)
_STATUSES: Final = {
    402: "it asks for payment: look at the account of OPENROUTER_API_KEY",
    403: "it does not let this client in",
    404: "there is no list at this address: check OPENROUTER_BASE_URL",
    407: "a proxy asks for a password: check HTTPS_PROXY",
    429: "too many requests",
}
_KEY_REFUSED: Final = (
    "it refuses the key: correct OPENROUTER_API_KEY, or unset it, because the list needs none"
)
_KEY_MISSING: Final = "it asks for a key: set OPENROUTER_API_KEY"
NO_DATABASE_URL: Final = "DATABASE_URL is not set, so this is the SQLite file under var/"


def database_reason(error: BaseException) -> str:
    """Say why the database failed, from what its driver raised."""
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or ""
    return _reason("the database failed", _DATABASE, code, error)


def redis_reason(error: BaseException) -> str:
    """Say why Redis failed, from what its client raised."""
    code = getattr(error, "status_code", None) or ""
    return _reason("Redis failed", _REDIS, "" if code == "ERR" else code, error)


def upstream_reason(error: BaseException) -> str:
    """Say why upstream could not be read, from what its HTTP client raised."""
    return _reason("upstream could not be read", _UPSTREAM, "", error)


def status_reason(status: int, *, with_key: bool) -> str:
    """Say what an HTTP status of upstream means; `with_key` where a key was sent."""
    if status == 401:
        means = _KEY_REFUSED if with_key else _KEY_MISSING
    else:
        means = _STATUSES.get(status) or ("it is in trouble itself" if status >= 500 else "")
    return f"upstream answered {status}" + (f": {means}" if means else "")


def _reason(what: str, meanings: tuple[Meaning, ...], code: str, error: BaseException) -> str:
    kind = code if code.startswith("SQLITE_") else type(error).__name__
    said = f"{kind} {error}"
    for text, codes, words in meanings:
        known = [code == one or code.startswith(f"{one}_") for one in codes.split()]
        if any(known) if code else words and re.search(words, said):
            return f"{what} ({kind}): {text}"
    return f"{what} ({kind})"
