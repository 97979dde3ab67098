"""A list that is too long for one page: its parts, and a search that the server makes."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from local.standin.client import Standin
from tests.support.site import Site
from tests.web.wire import Wire
from web.listing import PART_ROWS

LENGTH = PART_ROWS + 100


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("long")
    with Standin(models=LENGTH) as upstream, Site(folder, upstream) as site:
        site.refresh()
        with Wire(site, folder) as wire:
            yield f"http://127.0.0.1:{wire.port}"


def test_parts_are_linked_and_the_whole_list_is_searched(open_page: Callable[..., Page]) -> None:
    page = open_page()
    rows = page.locator("#prices tbody tr")
    expect(rows).to_have_count(PART_ROWS)
    parts = page.get_by_role("navigation", name="Parts of the list")
    parts.get_by_role("link", name="Next").click()
    beyond = int(page.locator("#count").inner_text()) - PART_ROWS
    expect(rows).to_have_count(beyond)
    last = rows.last.locator(".id").inner_text()
    parts.get_by_role("link", name="Previous").click()
    expect(rows).to_have_count(PART_ROWS)
    search = page.get_by_role("searchbox", name="Search models")
    search.fill(last)
    expect(rows).to_have_count(PART_ROWS)
    search.press("Enter")
    expect(page.locator("#prices tbody .id").filter(has_text=last).first).to_be_visible()
    expect(parts).to_have_count(0)
