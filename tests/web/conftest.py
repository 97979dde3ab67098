from collections.abc import Iterator
from pathlib import Path

import pytest

from local.standin.client import Standin
from prices.refresh.replay import Capture, captures_in
from tests.support import processes
from tests.support.captures import TIMES, made_up
from tests.support.past import load
from tests.support.site import Site

PAST = (*TIMES[3:9], TIMES[11])
"""Times of bodies over a day, and one weeks later that lists a model less."""


@pytest.fixture(scope="package")
def page_upstream() -> Iterator[Standin]:
    standin = Standin(models=60)
    with processes.shared():
        standin.start()
    yield standin
    standin.stop()


@pytest.fixture(scope="package")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Capture]:
    """Dated bodies, made up."""
    return captures_in(made_up(tmp_path_factory.mktemp("bodies"), PAST, 60))


@pytest.fixture(scope="package")
def past(
    page_upstream: Standin, captures: list[Capture], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A site whose catalogue was filled from them."""
    with Site(tmp_path_factory.mktemp("past"), page_upstream) as site:
        load(site, captures)
        yield site


@pytest.fixture
def site(page_upstream: Standin, tmp_path: Path) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path, page_upstream) as site:
        yield site


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a first answer take its time on a busy machine; the bounds have tests of their own."""
    monkeypatch.setattr("prices.published.reader.FIRST_SECONDS", 20)
