"""README says what there is: every verb, every room, every command that it shows."""

import re
from pathlib import Path

import typer.main

from core.__main__ import app
from tests.test_start_up import _verbs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_verb_stands_in_the_readme() -> None:
    verbs = {
        name: verb for name, verb in _verbs(typer.main.get_command(app)) if not hasattr(verb, "commands")
    }
    assert len(verbs) >= 20
    table = README[README.index("| verb |") :]
    shown = {"results show": "results EXPERIMENT"}
    assert [name for name in verbs if f"`{shown.get(name, name)}" not in table] == []


def test_every_command_shown_exists() -> None:
    known = dict(_verbs(typer.main.get_command(app)))
    commands = re.findall(r"python -m core ([a-z]+(?: [a-z]+)?)", README)
    assert len(commands) >= 1
    assert [words for words in commands if words not in known and words.split()[0] not in known] == []


def test_every_room_stands_in_the_tree() -> None:
    rooms = [path.name for path in (ROOT / "core").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) >= 10
    assert [room for room in rooms if f"  {room}/" not in README] == []


def test_what_the_readme_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) >= 2
    assert [link for link in links if not (ROOT / link).exists()] == []
