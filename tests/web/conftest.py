from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openrouter_standin.client import Standin
from tests.web.site import Site


@pytest.fixture(scope="package")
def page_upstream() -> Iterator[Standin]:
    with Standin(models=60) as standin:
        yield standin


@pytest.fixture
def site(page_upstream: Standin, tmp_path: Path) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path, page_upstream) as site:
        yield site


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a first answer take its time on a busy machine; the bounds have tests of their own."""
    monkeypatch.setattr("prices.snapshot.FIRST_SECONDS", 20)
