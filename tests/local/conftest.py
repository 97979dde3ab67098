from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import Checkout, wait_until


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path / "a check out")
    yield checkout
    wait_until(lambda: not checkout.left_running())
