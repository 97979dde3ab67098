"""The house is as the documents and the import contract say."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
MOST_MODULES = 10


def floors_of_contract() -> list[list[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract.get("containers") == ["prices"]]
    return [floor.split(" | ") for floor in layers]


def test_the_documents_list_the_floors_of_the_contract() -> None:
    section = (ROOT / "docs/architecture.md").read_text().split("## The floors")[1].split("## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == floors_of_contract()


def test_only_errors_and_services_stand_outside_the_rooms_and_no_room_is_crowded() -> None:
    prices = ROOT / "prices"
    assert {file.stem for file in prices.glob("*.py")} == {"__init__", "errors", "services"}
    crowds = {room.name: len(list(room.glob("*.py"))) - 1 for room in prices.iterdir() if room.is_dir()}
    assert {room for room, count in crowds.items() if count > MOST_MODULES} == set()


def test_every_file_that_a_document_links_to_is_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert missing == []
