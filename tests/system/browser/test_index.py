import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.browser.conftest import HOSTILE

OpenPage = Callable[..., Page]

PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1280, "height": 900}

# How many colours a picture has and how bright it is, looked at in a page of its own.
LOOK = """async (picture) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  let bright = 0;
  for (const pixel of pixels) bright += (pixel & 255) / 255;
  return {colours: new Set(pixels).size, brightness: bright / pixels.length};
}"""

# The texts whose contrast is below WCAG 2.2 AA for normal text, decorations left out.
FAINT = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (value) => value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const paper = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = rgb(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.body.querySelectorAll("*")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!says || element.closest("[aria-hidden],[hidden]")) continue;
    const [ink, ground] = [light(rgb(getComputedStyle(element).color)), light(paper(element))];
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) faint.push(`${element.className} ${element.textContent.slice(0, 30)}`);
  }
  return faint;
}"""


def visible(page: Page) -> int:
    return page.locator("#prices tbody tr:visible").count()


def ids(page: Page) -> list[str]:
    return page.locator("#prices tbody tr:visible .id").all_text_contents()


def test_the_page_shows_the_list_and_its_age(open_page: OpenPage) -> None:
    page = open_page()
    assert visible(page) > 100
    expect(page.locator("#count")).to_have_text(str(visible(page)))
    expect(page.locator("#age")).to_have_text("less than a minute")
    banner = page.get_by_role("heading", name="Degraded. The last known prices are still served")
    expect(banner).to_be_visible()


def test_the_list_narrows_while_one_types(open_page: OpenPage) -> None:
    page = open_page()
    every = visible(page)
    page.get_by_role("searchbox", name="Search models").press_sequentially("DEEPWELL/")
    assert ids(page)
    assert all(model_id.startswith("deepwell/") for model_id in ids(page))
    expect(page.get_by_role("status")).to_contain_text(f"{visible(page)} of {every} models")
    page.get_by_role("searchbox").fill("nothing at all")
    expect(page.locator("#nothing")).to_contain_text("nothing at all")
    expect(page.locator("#prices")).to_be_hidden()
    page.get_by_role("searchbox").fill("")
    assert visible(page) == every


def test_what_was_typed_outlives_sorting_and_reloading(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("searchbox").fill("deepwell/")
    found = set(ids(page))
    page.get_by_role("link", name="Prompt").click()
    assert set(ids(page)) == found
    expect(page.get_by_role("columnheader", name="Prompt", exact=True)).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.reload()
    assert set(ids(page)) == found


def test_typing_over_a_search_made_by_the_server_looks_through_the_whole_list(open_page: OpenPage) -> None:
    page = open_page("/?q=deepwell&sort=name&order=desc")
    page.get_by_role("searchbox").fill("lumenforge/")
    expect(page.locator("#prices tbody tr").nth(100)).to_be_attached()
    assert "lumenforge/omni" in ids(page)
    assert all("lumenforge/" in model_id for model_id in ids(page))


def test_the_age_moves_on(open_page: OpenPage) -> None:
    page = open_page()
    page.clock.install()
    page.reload()
    page.clock.fast_forward("02:05:30")
    expect(page.locator("#age")).to_have_text(re.compile(r"^\s*2 h [5-9] min\s*$"))  # it was aged before


def test_without_javascript_search_and_sorting_work(open_page: OpenPage) -> None:
    page = open_page("/", java_script_enabled=False)
    assert visible(page) > 100
    page.get_by_role("searchbox").fill("deepwell")
    page.get_by_role("searchbox").press("Enter")
    assert 0 < visible(page) < 10
    page.get_by_role("link", name="Prompt").click()
    assert "sort=prompt" in page.url
    assert "q=deepwell" in page.url
    assert 0 < visible(page) < 10
    page.goto(page.url.split("?")[0] + "?q=nothing+at+all")
    page.get_by_role("link", name="Show all").click()
    assert visible(page) > 100


def test_a_hostile_name_is_text(open_page: OpenPage) -> None:
    page = open_page("/?q=two-tiers")
    expect(page.locator("tbody .name")).to_have_text(HOSTILE)
    expect(page).to_have_title("two-tiers – Pricebeat: LLM prices")
    assert page.locator("tbody script, tbody img").count() == 0
    page.get_by_role("searchbox").fill("<img src=x onerror=alert(2)>")
    expect(page.locator("#sought")).to_have_text("<img src=x onerror=alert(2)>")


@pytest.mark.parametrize("width", [320, 375, 768, 1024, 1100, 1280, 1920])
def test_no_width_makes_the_page_scroll_sideways(open_page: OpenPage, width: int) -> None:
    page = open_page("/", viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for column in ("Model", "Context", "Prompt", "Completion"):
        link = page.get_by_role("link", name=column, exact=True)
        link.scroll_into_view_if_needed()
        expect(link).to_be_in_viewport(ratio=0.9)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
@pytest.mark.parametrize(("scheme", "least", "most"), [("light", 0.8, 1.0), ("dark", 0.0, 0.25)])
def test_both_schemes_are_drawn_and_can_be_read(
    open_page: OpenPage, browser: Browser, viewport: Any, scheme: str, least: float, most: float
) -> None:
    page = open_page("/", viewport=viewport, color_scheme=scheme)
    assert page.evaluate(FAINT) == []
    picture = base64.b64encode(page.screenshot()).decode()
    looker = browser.new_page()
    seen = looker.evaluate(LOOK, picture)
    looker.close()
    assert seen["colours"] > 50
    assert least <= seen["brightness"] <= most


def test_the_keyboard_reaches_everything_and_its_place_is_seen(open_page: OpenPage) -> None:
    page = open_page()
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        told = page.evaluate("""() => {
            const at = document.activeElement, box = at.getBoundingClientRect();
            const style = getComputedStyle(at);
            return [at.innerText || at.id, box.left >= 0 && box.width > 0 && style.outlineStyle !== "none"];
        }""")
        reached.append(told[0].strip("↕ \n"))
        assert told[1], f"{told[0]} does not show that it has the focus"
    assert reached == ["Skip to the price list", "q", "Search", "Model", "Context", "Prompt", "Completion"]


def test_the_skip_link_leads_to_the_list(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "prices"


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_the_table_stays_a_table_for_screen_readers(open_page: OpenPage, viewport: Any) -> None:
    page = open_page("/?q=lumenforge/omni", viewport=viewport)
    table = page.get_by_role("table", name="Model prices in US dollars per million tokens")
    assert table.get_by_role("columnheader").count() == 9
    assert table.get_by_role("rowheader").count() == 1
    assert table.get_by_role("cell").count() == 8


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_the_header_row_stays_in_sight(open_page: OpenPage, viewport: Any) -> None:
    page = open_page("/", viewport=viewport)
    page.evaluate("window.scrollTo(0, 3000)")
    expect(page.get_by_role("link", name="Prompt", exact=True)).to_be_in_viewport(ratio=1)


def test_tiers_unfold(open_page: OpenPage) -> None:
    page = open_page("/?q=two-tiers")
    page.get_by_text("2 tiers").click()
    expect(page.get_by_text("above 32,000 prompt tokens")).to_be_visible()


def test_on_paper_there_are_the_prices_and_no_controls(open_page: OpenPage) -> None:
    page = open_page("/?q=aurora", color_scheme="dark")
    page.emulate_media(media="print")
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.get_by_text("lumenforge/aurora-5", exact=True)).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 251)"
