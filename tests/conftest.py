"""What all tests share: real stores on this machine, a stand-in upstream, and no network beyond loopback."""

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import hypothesis
import pytest
from hypothesis import HealthCheck

import deploy_migrations
from local.guardian import Guardian
from local.redis_server import RedisServer
from local.standin.client import NOON, Standin
from prices.runtime.settings import Settings
from prices.services import Services
from tests.support import postgres, processes
from tests.support.ports import free_port
from tests.support.side_by_side import UnitScheduling, in_order

OWN_VARIABLES = (
    "PRICE_",
    "OPENROUTER_",
    "REDIS_URL",
    "DATABASE_URL",
    "CELERY_",
    "FLOWER_",
    "LOG_FORMAT",
    "PORT",
)

SHARED_FOLDER = pytest.StashKey[Path]()


# A law that is slow is a slow machine: no test asserts a time.
hypothesis.settings.register_profile(
    "pricebeat", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
hypothesis.settings.load_profile("pricebeat")


def pytest_configure(config: pytest.Config) -> None:
    """Make a folder for what the workers of a run share."""
    processes.watch()
    if hasattr(config, "workerinput"):
        config.stash[SHARED_FOLDER] = Path(config.workerinput["shared_folder"])
    else:
        folder = Path(tempfile.mkdtemp(prefix="pricebeat-tests-"))
        folder.chmod(0o711)  # under root PostgreSQL runs as a user of its own, who has to pass through
        config.stash[SHARED_FOLDER] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(lambda: postgres.stop(folder / "postgres"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where that folder is."""
    node.workerinput["shared_folder"] = str(node.config.stash[SHARED_FOLDER])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> UnitScheduling | None:
    """Divide the tests by units, unless another way is asked for."""
    return UnitScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests, and put those that run side by side in the order in which their units are begun."""
    for item in items:
        processes.mark(item)
    if hasattr(config, "workerinput"):
        items[:] = in_order(items, lambda item: item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Let no test start a process that is not marked so."""
    with processes.checked(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let no test start a process that is not marked so."""
    with processes.checked(item):
        return (yield)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in os.environ:
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real Redis for the tests that only use it; those that break it start their own."""
    with contextlib.ExitStack() as stack:
        with processes.shared():
            guardian = stack.enter_context(contextlib.closing(Guardian()))  # ends it also when we are killed

            def spawn(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
                return guardian.spawn(command, output=output)

            folder = tmp_path_factory.mktemp("redis")
            server = stack.enter_context(RedisServer(folder, port=free_port(), persistent=False, spawn=spawn))
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The address of an empty Redis."""
    services = Services.make(Settings.from_env({"REDIS_URL": shared_redis.url}))
    services.redis.flushall()
    services.redis.close()
    return shared_redis.url


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """One real PostgreSQL server for all workers of a run; each makes databases of its own in it."""
    return postgres.start_or_join(pytestconfig.stash[SHARED_FOLDER] / "postgres")


@pytest.fixture(scope="session")
def small_postgres_url() -> Iterator[str]:
    """One that allows four connections beside three of superusers."""
    with postgres.postgres_server(max_connections=7) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, on each engine that we support."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.sqlite3"
        return
    with postgres.database(request.getfixturevalue("postgres_url"), _name("empty", tmp_path)) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied: that takes a tenth of the time of the migrations."""
    path = tmp_path_factory.mktemp("migrated") / "migrated.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    name = _name("migrated", tmp_path_factory.getbasetemp())
    with postgres.database(postgres_url, name) as url:
        migrate(url)
        yield name


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database, on each engine that we support."""
    if request.param == "sqlite":
        copy = tmp_path / "pricebeat.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), copy)
        yield f"sqlite:///{copy}"
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("migrated_postgres")
    with postgres.database(server, _name("test", tmp_path), template=template) as url:
        yield url


def _name(kind: str, folder: Path) -> str:
    return f"{kind}_{os.getpid()}_{abs(hash(folder))}"


def migrate(url: str) -> None:
    """Run the release step on a database, in this process: to start another takes ten times as long."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setenv("DATABASE_URL", url)
        assert deploy_migrations.main([]) == 0


@pytest.fixture(scope="session")
def one_standin() -> Iterator[Standin]:
    """A stand-in OpenRouter for all tests of a worker."""
    server = Standin(models=60)
    with processes.shared():
        server.start()
    yield server
    server.stop()


@pytest.fixture
def standin(one_standin: Standin) -> Standin:
    """The same, answering as usual, with nothing counted yet; its time stands still."""
    one_standin.clear()
    one_standin.release()
    one_standin.time(now=NOON, speed=0)
    one_standin.forget()
    return one_standin


@pytest.fixture
def settings(database_url: str, redis_url: str, standin: Standin) -> Settings:
    """Settings that point at the real stores and the stand-in."""
    return Settings.from_env(
        {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "OPENROUTER_BASE_URL": standin.base_url}
    )


@pytest.fixture
def make_services() -> Iterator[Callable[[Settings], Services]]:
    """Make clients that are closed at the end of the test."""
    made: list[Services] = []

    def make(settings: Settings) -> Services:
        made.append(Services.make(settings))
        return made[-1]

    yield make
    for services in made:
        services.engine.dispose()
        services.redis.close()


@pytest.fixture
def services(settings: Settings, make_services: Callable[[Settings], Services]) -> Services:
    """Clients of the real stores."""
    return make_services(settings)


@pytest.fixture
def services_without_redis(settings: Settings, make_services: Callable[[Settings], Services]) -> Services:
    """Clients of the real database, and of a Redis that refuses."""
    return make_services(replace(settings, redis_url="redis://127.0.0.1:1/0"))
