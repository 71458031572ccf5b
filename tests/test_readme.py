"""README and docs/ say what there is: every verb, every room, every command and link that they show."""

import re
from pathlib import Path

import pytest
import typer.main

from core.__main__ import app
from tests.test_start_up import _verbs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_verb_stands_in_its_table() -> None:
    verbs = {
        name: verb for name, verb in _verbs(typer.main.get_command(app)) if not hasattr(verb, "commands")
    }
    assert len(verbs) >= 20
    table = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    shown = {"results show": "results EXPERIMENT", "spread show": "spread EXPERIMENT"}
    assert [name for name in verbs if f"`{shown.get(name, name)}" not in table] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_exists(page: Path) -> None:
    known = dict(_verbs(typer.main.get_command(app)))
    commands = re.findall(
        r"(?:python -m core|workbench) ([a-z]+(?: [a-z]+)?)", page.read_text(encoding="utf-8")
    )
    assert [words for words in commands if words not in known and words.split()[0] not in known] == []


def test_every_room_stands_in_the_tree() -> None:
    rooms = [path.name for path in (ROOT / "core").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) >= 10
    assert [room for room in rooms if f"  {room}/" not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_readme_is_short_and_leads_to_every_manual() -> None:
    assert len(README.encode()) <= 9_000
    assert len(PAGES) >= 6
    assert [page.name for page in PAGES[2:] if f"](docs/{page.name})" not in README] == []
