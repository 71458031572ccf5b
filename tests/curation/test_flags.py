"""Flags: the latest line wins, nothing is forgotten, and wrong ones are refused whole."""

import json
from pathlib import Path

import pytest

from core.curation.flags import (
    add_flag,
    add_flags,
    all_flags,
    disagreements,
    export_flags,
    flags_path,
    import_flags,
    latest_flags,
)
from core.errors import UserError


def values(root: Path) -> dict[str, str]:
    return {mark["task_id"]: mark["value"] for mark in latest_flags(root)}


def test_the_latest_line_wins_and_none_withdraws(root: Path) -> None:
    assert latest_flags(root) == []
    for value in ("yes", "no", "unsure"):
        add_flag(root, "aa00", "toy", value, "me", "a note")
    add_flag(root, "bb11", "toy", "yes", "me")
    assert values(root) == {"aa00": "unsure", "bb11": "yes"}
    add_flag(root, "bb11", "toy", "none", "me")
    assert values(root) == {"aa00": "unsure"}
    assert len(all_flags(root)) == 5
    assert list(all_flags(root)[0]) == ["time", "task_id", "source", "flag", "value", "by", "note"]


def test_kinds_of_flags_and_sources_are_apart(root: Path) -> None:
    add_flag(root, "aa00", "toy", "yes", "me")
    add_flag(root, "aa00", "toy", "no", "me", flag="pretty")
    assert values(root) == {"aa00": "yes"}
    assert [mark["value"] for mark in latest_flags(root, "toy", "pretty")] == ["no"]
    assert latest_flags(root, "other") == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": "maybe"}, "'maybe' is no value of a flag. Use one of: yes, no, unsure, none"),
        ({"task_id": "aa01"}, r"No task 'aa01' in source 'toy'. Did you mean 'aa00'\?"),
        ({"source": "tay"}, "There is no source 'tay'. Known sources: toy"),
        ({"note": "x" * 3000}, "A flag needs a short text 'note'"),
        ({"by": None}, "A flag needs a short text 'by'"),
    ],
)
def test_a_wrong_flag_is_refused_and_writes_nothing(
    root: Path, change: dict[str, object], sentence: str
) -> None:
    good = {"task_id": "aa00", "source": "toy", "value": "yes", "by": "me"}
    with pytest.raises(UserError, match=sentence):
        add_flags(root, [good, {**good, **change}])
    assert not flags_path(root).exists()


def test_export_and_import_give_the_same_flags(root: Path, tmp_path: Path) -> None:
    add_flag(root, "aa00", "toy", "yes", "me", "größer")
    add_flag(root, "bb11", "toy", "no", "me")
    add_flag(root, "bb11", "toy", "none", "me")
    file = tmp_path / "out" / "flags.jsonl"
    assert export_flags(root, file) == 1
    flags_path(root).unlink()
    assert import_flags(root, file) == (1, 0)
    assert import_flags(root, file) == (0, 0)
    assert latest_flags(root)[0]["note"] == "größer"


def test_an_import_that_overrules_says_so_and_leaves_a_disagreement(root: Path, tmp_path: Path) -> None:
    add_flag(root, "aa00", "toy", "yes", "you")
    file = tmp_path / "flags.jsonl"
    export_flags(root, file)
    flags_path(root).unlink()
    add_flag(root, "aa00", "toy", "no", "me")
    add_flag(root, "bb11", "toy", "no", "me")
    assert import_flags(root, file) == (1, 1)
    assert values(root) == {"aa00": "yes", "bb11": "no"}
    (marks,) = disagreements(root)
    assert {mark["by"]: mark["value"] for mark in marks} == {"me": "no", "you": "yes"}


@pytest.mark.parametrize("line", ["{", "[]", '{"value": "yes"}', "\x00"])
def test_a_broken_export_is_refused_whole(root: Path, tmp_path: Path, line: str) -> None:
    good = {"time": "t", "task_id": "aa00", "source": "toy", "flag": "reversible"}
    good |= {"value": "yes", "by": "me", "note": ""}
    file = tmp_path / "flags.jsonl"
    file.write_text(json.dumps(good) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 2: .* Nothing was imported"):
        import_flags(root, file)
    assert not flags_path(root).exists()


def test_lines_of_other_programs_are_passed_over(root: Path) -> None:
    add_flag(root, "aa00", "toy", "yes", "me")
    with flags_path(root).open("a", encoding="utf-8") as file:
        file.write('{"value": 3}\n{"torn": ')
    add_flag(root, "bb11", "toy", "no", "me")
    assert values(root) == {"aa00": "yes", "bb11": "no"}
