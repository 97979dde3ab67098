"""What a failure is said to be, and what to set: by real servers that fail so, where they can be made to."""

import sqlite3
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis
import requests
from redis import Redis
from sqlalchemy import create_engine, event, text

from local.redis_server import RedisServer
from prices.errors import DatabaseUnavailableError, RedisUnavailableError, SchemaBehindError
from prices.runtime.bounds import Limits
from prices.runtime.reasons import database_reason, redis_reason, status_reason, upstream_reason
from prices.runtime.redis_client import make_redis, redis_errors
from prices.store import database
from prices.store.database import make_engine, reading, writing

SECRET = "hunter2"


def failure(url: str, statement: str = "SELECT 1", *, limits: Limits = database.LIMITS) -> str:
    """Do a statement on a database of which we know that it fails; give the reason."""
    engine = make_engine(url, limits=limits)
    try:
        with pytest.raises(DatabaseUnavailableError) as failed, writing(engine) as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
    reason = str(failed.value)
    for told in (SECRET, "127.0.0.1", "somebody", "elsewhere", "/"):
        assert told not in reason.replace("docs/operations.md", "").replace("var/", ""), reason
    return reason


# SQLite


def test_a_file_that_cannot_be_opened_says_which_variable_to_set(tmp_path: Path) -> None:
    reason = failure(f"sqlite:///{tmp_path}/elsewhere/x.sqlite3")
    assert reason.startswith("the database failed (SQLITE_CANTOPEN): its file cannot be opened")
    assert "set DATABASE_URL" in reason
    assert "is not set" not in reason


def test_without_database_url_it_is_said_that_it_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "DEFAULT_DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere/x.sqlite3")
    said = " (DATABASE_URL is not set, so this is the SQLite file under var/)"
    assert failure(database.DEFAULT_DATABASE_URL).endswith(said)
    (tmp_path / "elsewhere").mkdir()
    engine = make_engine(database.DEFAULT_DATABASE_URL)
    with pytest.raises(SchemaBehindError) as behind, reading(engine) as connection:
        connection.execute(text("SELECT * FROM catalogue"))
    assert str(behind.value) == "the tables are missing: run python deploy_migrations.py" + said
    engine.dispose()


def test_a_file_that_is_no_database_or_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"no database" * 1000)
    reason = failure(f"sqlite:///{tmp_path}/none", "CREATE TABLE one (x)")
    assert reason.startswith(
        "the database failed (SQLITE_NOTADB): its file is damaged, or no SQLite database"
    )
    with sqlite3.connect(tmp_path / "damaged") as made:
        made.execute("CREATE TABLE one AS SELECT zeroblob(100000) AS x")
        made.execute("CREATE INDEX two ON one (x)")
    made.close()
    whole = (tmp_path / "damaged").read_bytes()
    (tmp_path / "damaged").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    reason = failure(f"sqlite:///{tmp_path}/damaged", "UPDATE one SET x = 1")
    assert reason.startswith("the database failed (SQLITE_CORRUPT")
    assert "restore a backup" in reason


def test_a_full_disk(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "full") as made:
        made.execute("CREATE TABLE one (x)")
    made.close()
    engine = make_engine(f"sqlite:///{tmp_path}/full")
    event.listen(engine, "connect", lambda made, _record: made.execute("PRAGMA max_page_count = 2"))
    with pytest.raises(DatabaseUnavailableError) as failed, writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO one VALUES (zeroblob(100000))")
    assert str(failed.value) == "the database failed (SQLITE_FULL): its disk is full: make room"
    engine.dispose()


def test_a_file_that_cannot_be_written_to(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x").close()
    reason = failure(f"sqlite:///file:{tmp_path}/x?mode=ro&uri=true", "CREATE TABLE one (x)")
    assert reason.startswith("the database failed (SQLITE_READONLY")
    assert "it cannot be written to" in reason


# PostgreSQL


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server by its socket."""

    folder: str

    def url(self, user: str = "postgres", name: str = "postgres", password: str = SECRET) -> str:
        return f"postgresql+psycopg://{user}:{password}@/{name}?host={self.folder}"


@pytest.fixture
def server(postgres_url: str) -> Iterator[Server]:
    """A server that asks `careful` for a password, and does not know `somebody`."""
    found = Server(parse_qs(urlsplit(postgres_url).query)["host"][0])
    admin = create_engine(found.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        rules = Path(str(connection.scalar(text("SHOW hba_file"))))
        before = rules.read_text()
        connection.execute(text("DROP ROLE IF EXISTS careful"))
        connection.execute(text("CREATE ROLE careful LOGIN PASSWORD 'right'"))
        rules.write_text("local all careful scram-sha-256\nlocal all barred reject\n" + before)
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("SELECT pg_sleep(0.2)"))
    yield found
    with admin.connect() as connection:
        rules.write_text(before)
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("DROP ROLE careful"))
    admin.dispose()


def test_who_connects_to_postgresql_hears_what_is_wrong(server: Server) -> None:
    wrong = failure(server.url("careful"))
    assert wrong == "the database failed (OperationalError): it refuses the password: correct DATABASE_URL"
    missing = failure(server.url("careful", password=""))
    assert "it refuses the password" in missing
    for user in ("somebody", "barred"):
        assert "it does not let this user in from here: correct DATABASE_URL" in failure(server.url(user))
    assert "there is no such database: create it" in failure(server.url(name="elsewhere"))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/db",
        f"postgresql+psycopg://u:{SECRET}@/db?host=/elsewhere",
    ],
)
def test_a_postgresql_that_is_not_there(url: str) -> None:
    reason = failure(url)
    assert "nothing listens at its address: is it running? Check DATABASE_URL" in reason


def test_a_question_that_a_server_ends(server: Server) -> None:
    slow = failure(server.url(), "SELECT pg_sleep(20)", limits=Limits(statement=0.2))
    assert slow == "the database failed (QueryCanceled): a question took longer than it may"
    ended = failure(server.url(), "SELECT pg_terminate_backend(pg_backend_pid())")
    assert ended == "the database failed (AdminShutdown): it was stopped"


def test_a_postgresql_that_may_not_be_written_to(server: Server) -> None:
    reason = failure(server.url(), "SET TRANSACTION READ ONLY; CREATE TABLE one (x integer)")
    assert reason.startswith("the database failed (ReadOnlySqlTransaction): it cannot be written to")


# What no server here can be made to say


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (
            psycopg.OperationalError("failed to resolve host 'h': [Errno -2] Name or service not known"),
            "host name",
        ),
        (
            psycopg.OperationalError("connection is bad: FATAL:  the database system is starting up"),
            "starting",
        ),
        (psycopg.errors.DiskFull("could not extend file"), "its disk is full"),
        (psycopg.errors.CannotConnectNow("not now"), "starting, stopping"),
        (psycopg.errors.TooManyConnections("no"), "no more connections"),
        (psycopg.errors.InsufficientPrivilege("no"), "may not do that"),
        (psycopg.OperationalError("server does not support SSL, but SSL was required"), "TLS"),
        (psycopg.OperationalError("SSL error: certificate verify failed"), "certificate"),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), "no answer came in time"),
        (psycopg.OperationalError("server closed the connection unexpectedly"), "cut off"),
        (psycopg.OperationalError("something nobody has heard of"), "(OperationalError)"),
    ],
)
def test_what_else_a_database_says(error: Exception, means: str) -> None:
    assert means in database_reason(error)


# Redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", persistent=False, password="right") as server:
        yield server


def redis_failure(url: str, act: Callable[[Redis], object] = lambda redis: redis.ping()) -> str:
    with make_redis(url) as client, pytest.raises(RedisUnavailableError) as failed, redis_errors():
        act(client)
    assert SECRET not in str(failed.value)
    assert "127.0.0.1" not in str(failed.value)
    return str(failed.value)


def test_a_redis_that_asks_for_another_password_or_for_one(own_redis: RedisServer) -> None:
    wrong = redis_failure(f"redis://:{SECRET}@127.0.0.1:{own_redis.port}/0")
    assert wrong == "Redis failed (AuthenticationError): it refuses the password: correct REDIS_URL"
    missing = redis_failure(f"redis://127.0.0.1:{own_redis.port}/0")
    assert missing == "Redis failed (AuthenticationError): it asks for a password: put it into REDIS_URL"


def test_a_redis_that_takes_no_writes(own_redis: RedisServer) -> None:
    def write(client: Redis) -> None:
        client.set("key", "x")

    with make_redis(own_redis.url) as client:
        client.config_set("maxmemory", 1)
        assert "its memory is full" in redis_failure(own_redis.url, write)
        client.config_set("maxmemory", 0)
        client.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], commands=["+get", "+client"])
        limited = f"redis://reader:{SECRET}@127.0.0.1:{own_redis.port}/0"
        assert "this user may not do that" in redis_failure(limited, write)
        client.replicaof("127.0.0.1", "1")
        assert "it is a replica" in redis_failure(own_redis.url, write)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///elsewhere.sock"])
def test_a_redis_that_is_not_there(url: str) -> None:
    assert "nothing listens at its address: is it running? Check REDIS_URL" in redis_failure(url)


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (redis.ConnectionError("Error -2 connecting to h:6379. Name or service not known."), "host name"),
        (redis.ConnectionError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS"),
        (redis.ResponseError("AUTH <password> called without any password configured"), "no password"),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "cannot save"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory", status_code="LOADING"), "starting"),
        (redis.ConnectionError("max number of clients reached", status_code="ERR"), "no more connections"),
        (redis.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "certificate"),
        (redis.TimeoutError("Timeout reading from socket"), "no answer came in time"),
        (redis.ConnectionError("Connection closed by server."), "cut off"),
        (redis.ResponseError("something nobody has heard of"), "(ResponseError)"),
    ],
)
def test_what_else_redis_says(error: Exception, means: str) -> None:
    assert means in redis_reason(error)


# Upstream


@pytest.mark.parametrize(
    ("status", "with_key", "means"),
    [
        (401, False, "it asks for a key: set OPENROUTER_API_KEY"),
        (401, True, "it refuses the key: correct OPENROUTER_API_KEY, or unset it"),
        (402, True, "it asks for payment"),
        (403, False, "it does not let this client in"),
        (404, False, "there is no list at this address: check OPENROUTER_BASE_URL"),
        (429, False, "too many requests"),
        (500, False, "it is in trouble itself"),
        (503, True, "it is in trouble itself"),
    ],
)
def test_a_status_says_what_it_means(status: int, with_key: bool, means: str) -> None:
    assert status_reason(status, with_key=with_key).startswith(f"upstream answered {status}: {means}")


def test_a_status_that_means_nothing_is_told_alone() -> None:
    assert status_reason(418, with_key=False) == "upstream answered 418"


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (
            requests.ConnectionError("Failed to resolve 'h' ([Errno -2] Name or service not known)"),
            "host name",
        ),
        (requests.ConnectionError("[Errno 111] Connection refused"), "nothing listens"),
        (
            requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
            "certificate",
        ),
        (requests.exceptions.SSLError(ssl.SSLError("[SSL: WRONG_VERSION_NUMBER]")), "TLS"),
        (requests.exceptions.ProxyError("Cannot connect to proxy. Connection refused"), "HTTPS_PROXY"),
        (requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead"), "cut off"),
        (requests.exceptions.ContentDecodingError("failed to decode it"), "cannot be unpacked"),
    ],
)
def test_what_its_client_says_of_upstream(error: Exception, means: str) -> None:
    assert means in upstream_reason(error)
