"""Flags: the latest judgement wins, nothing is forgotten, and wrong ones are refused whole."""

import gzip
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
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError

from .conftest import make_task


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


def test_a_withdrawal_lets_the_others_latest_judgement_hold(root: Path) -> None:
    for by, value in (("ada", "yes"), ("bob", "no"), ("me", "unsure"), ("me", "none")):
        add_flag(root, "aa00", "toy", value, by)
    assert values(root) == {"aa00": "no"}
    add_flag(root, "aa00", "toy", "none", "bob")
    assert values(root) == {"aa00": "yes"} and disagreements(root) == []
    add_flag(root, "aa00", "toy", "none", "ada")
    assert values(root) == {}


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


@pytest.mark.parametrize("kind", ["Hard?", "", "x" * 41, "a/b"])
def test_a_kind_that_no_page_can_show_is_refused(root: Path, kind: str) -> None:
    with pytest.raises(UserError, match="is no kind of flag"):
        add_flag(root, "aa00", "toy", "yes", "me", flag=kind)
    assert not flags_path(root).exists()


def test_export_and_import_give_the_same_flags(root: Path, tmp_path: Path) -> None:
    add_flag(root, "aa00", "toy", "yes", "me", "größer")
    add_flag(root, "bb11", "toy", "no", "me")
    add_flag(root, "bb11", "toy", "none", "me")
    file = tmp_path / "out" / "flags.jsonl"
    assert export_flags(root, file) == 1
    flags_path(root).unlink()
    assert (import_flags(root, file).added, import_flags(root, file).known) == (1, 1)
    assert latest_flags(root)[0]["note"] == "größer"


def test_an_overruling_import_is_reported_and_leaves_a_disagreement(root: Path, tmp_path: Path) -> None:
    add_flag(root, "aa00", "toy", "yes", "you")
    file = tmp_path / "flags.jsonl"
    export_flags(root, file)
    flags_path(root).unlink()
    early = {"time": "2020-01-01T00:00:00+00:00", "source": "toy", "value": "no", "by": "me"}
    add_flags(root, [{**early, "task_id": "aa00"}, {**early, "task_id": "bb11"}])
    found = import_flags(root, file)
    assert (found.added, found.overruled) == (1, 1)
    assert values(root) == {"aa00": "yes", "bb11": "no"}
    (marks,) = disagreements(root)
    assert {mark["by"]: mark["value"] for mark in marks} == {"me": "no", "you": "yes"}


def test_who_is_known_by_a_login_brings_in_own_judgements_alone(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "flags.jsonl"
    file.write_text(line("yes", "2020-01-01T00:00:00+00:00"))
    with pytest.raises(UserError, match="entry 1: 'ann' signed this; bring in only what you judged"):
        import_flags(root, file, by="bob", only_by="bob")
    assert values(root) == {}
    assert import_flags(root, file, by="ann", only_by="ann").added == 1
    assert import_flags(root, file, by="bob", only_by="bob").known == 1, (
        "what is here already changes nothing"
    )
    ids = tmp_path / "ids.txt"
    ids.write_text("bb11\n")
    assert import_flags(root, ids, by="bob", only_by="bob").added == 1
    assert [mark["by"] for mark in latest_flags(root)] == ["ann", "bob"]


@pytest.mark.parametrize("line", ["{", "[]", '{"value": "yes"}', "\x01"])
def test_a_broken_export_is_refused_whole(root: Path, tmp_path: Path, line: str) -> None:
    good = {"time": "2026-01-01", "task_id": "aa00", "source": "toy", "flag": "reversible"}
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


def line(value: str, time: str, task_id: str = "aa00") -> str:
    record = {"time": time, "task_id": task_id, "source": "toy", "value": value, "by": "ann"}
    return json.dumps(record, ensure_ascii=False) + "\n"


def test_the_later_judgement_holds_in_whatever_order_files_are_imported(root: Path, tmp_path: Path) -> None:
    older, newer = tmp_path / "older.jsonl", tmp_path / "newer.jsonl"
    older.write_text(line("no", "2020-01-02T10:00:00+00:00"))
    newer.write_text(line("yes", "2020-01-02T10:30:00+01:00") + line("unsure", "2019-01-01", "bb11"))
    for order in ((older, newer), (newer, older)):
        flags_path(root).unlink(missing_ok=True)
        found = [import_flags(root, file) for file in order]
        assert values(root) == {"aa00": "no", "bb11": "unsure"}, "10:30 in Paris is before 10:00 in London"
        assert sum(one.zoneless for one in found) == 1
        assert "With a time without a zone, read as UTC: 1." in " ".join(one.summary for one in found)


def test_a_time_in_the_future_is_reported_and_a_click_still_overrules_it(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "flags.jsonl"
    file.write_text(line("yes", "2099-01-01T00:00:00+00:00"))
    assert "Dated in the future: 1," in import_flags(root, file).summary
    add_flag(root, "aa00", "toy", "no", "me")
    assert values(root) == {"aa00": "no"}


def test_a_withdrawn_flag_does_not_come_back_by_an_old_file(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "flags.jsonl"
    file.write_text(line("yes", "2020-01-01T00:00:00+00:00"))
    import_flags(root, file)
    add_flag(root, "aa00", "toy", "none", "ann")
    assert import_flags(root, file).added == 0
    assert values(root) == {}


@pytest.mark.parametrize("sign", ["\u2028", "\u0085", "\x1c", "\x0b", "\r"])
def test_a_note_may_hold_any_sign(root: Path, tmp_path: Path, sign: str) -> None:
    add_flag(root, "aa00", "toy", "yes", "me", f"a{sign}b")
    file = tmp_path / "flags.jsonl"
    export_flags(root, file)
    flags_path(root).unlink()
    assert import_flags(root, file).added == 1
    assert latest_flags(root)[0]["note"] == f"a{sign}b"


BOTH = {"aa00": "yes", "bb11": "no"}
ONES = {"aa00": "yes", "bb11": "yes"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("task_id,reversible\naa00,yes\nbb11,no\n", BOTH),
        ("id;value;note\naa00;TRUE;\nbb11;0;why\ncc22;;\n", BOTH),
        ("task\tis it?\naa00\ty\nbb11\tn\n", BOTH),
        ("aa00,yes\nbb11,no\n", BOTH),
        ("task_id\naa00\nbb11\n", ONES),
        ("aa00\nbb11\n", ONES),
        ('["aa00", "bb11"]', ONES),
        ('{"aa00": true, "bb11": "no"}', BOTH),
        ('[{"task_id": "aa00", "value": "yes"}, {"id": "bb11", "reversible": false}]', BOTH),
        ('{"task_id": "aa00", "value": "yes"}\n{"task_id": "bb11", "value": "no"}\n', BOTH),
        ('{"task_id": "aa00", "value": "yes"}\n', {"aa00": "yes"}),
        ('{\n "aa00": "yes",\n "bb11": "no"\n}\n', BOTH),
        ("", {}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gzip"])
def test_labels_in_the_forms_that_people_have(
    root: Path, tmp_path: Path, text: str, wanted: dict[str, str], encoding: str
) -> None:
    file = tmp_path / "labels"
    file.write_bytes(gzip.compress(text.encode("utf-8")) if encoding == "gzip" else text.encode(encoding))
    assert import_flags(root, file, by="me").read == len(wanted)
    assert values(root) == wanted
    assert {mark["by"] for mark in latest_flags(root)} <= {"me"}


def test_rows_that_say_nothing_are_counted_and_an_id_comes_before_a_name(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("name,id,value\na dog,aa00,yes\na cat,bb11,\n,,yes\n")
    found = import_flags(root, file, by="me")
    assert (found.read, found.empty, values(root)) == (1, 2, {"aa00": "yes"})
    assert "Left out: 2 rows without an id or a judgement." in found.summary


def test_the_others_of_a_list_are_judged_too(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "reversible.json"
    file.write_text('["aa00"]')
    assert import_flags(root, file, by="me", others="no").added == 4
    assert values(root) == {"aa00": "yes", "bb11": "no", "cc22": "no", "dd33": "no"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("task_id,reversible\naa00,perhaps\n", "line 2: 'perhaps' is no value of a flag. Use one of: yes"),
        ("task_id,a,b\naa00,yes,no\n", "does not say which column is the judgement"),
        ("aa00,yes\nbb11,no,1\n", "line 2 has 3 cells instead of 2"),
        ('["aa01"]', r"entry 1: No task 'aa01' in toy. Did you mean 'aa00'\?"),
        ('["aa00", 3]', "entry 2 is neither an id nor a flag"),
        ('{"aa00": "yes", "aa00": "no"}', "the key 'aa00' stands there twice"),
        ('{"task_id": "aa00", "value": "yes", "time": "soon"}', "'soon' is no time. Write it like 20"),
        ("3", "No task '3' in toy"),
        ('{"a": [1]}', "is no value of a flag|'task_id' and a 'value'"),
        ("id,value,value\naa00,yes,no\n", "has the column 'value' twice"),
        ("aa00,yes\naa00,no\n", "line 2: 'aa00' is judged twice, and no time says what came later"),
        ("aa00,\0yes\n", "it holds zeros"),
        ('task_id,value\n"aa00,yes\n', "is no table"),
        ("task_id,value\n" + "x" * 200_000 + ",yes\n", "is no table"),
    ],
)
def test_labels_that_are_none_are_named(root: Path, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "labels"
    file.write_text(text)
    with pytest.raises(UserError, match=sentence):
        import_flags(root, file, by="me")
    assert not flags_path(root).exists()


def test_lines_of_a_table_may_end_as_on_old_machines(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_bytes(b"task_id,value\raa00,yes\rbb11,no\r")
    assert import_flags(root, file, by="me").added == 2


def test_of_several_sources_the_first_is_taken_and_named(root: Path, tmp_path: Path) -> None:
    store_source(root, SourceInfo("also", "made up", "1", "none", "0"), [make_task("aa00", "also")])
    file = tmp_path / "labels"
    file.write_text('["aa00", "bb11"]')
    assert "Taken for also: 1 id of several sources" in import_flags(root, file, by="me").summary
    assert {mark["source"] for mark in latest_flags(root)} == {"also", "toy"}
    flags_path(root).unlink()
    import_flags(root, file, by="me", source="toy")
    assert {mark["source"] for mark in latest_flags(root)} == {"toy"}
