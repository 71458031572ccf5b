"""The layouts that people have: each is read or answered with those that are; nothing is lost in silence."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from core.curation.sources import load_tasks
from core.curation.stored import SourceInfo
from core.errors import UserError
from core.importing import store_candidates as module
from core.importing.import_source import import_set
from core.storage import untrusted_json

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def task(number: int, *, solved: bool = True) -> dict[str, Any]:
    test = {"input": [[number, 3]], "output": [[3, number]]} if solved else {"input": [[number, 3]]}
    return {"train": [{"input": [[number, 1]], "output": [[1, number]]}], "test": [test]}


def couples(number: int) -> list[Any]:
    return [[[[number, n]], [[n, number]]] for n in range(3)]


def put(path: Path, value: Any, *, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding=encoding)
    return path


def imported(root: Path, origin: Path) -> SourceInfo:
    (info,) = import_set(root, "mine", str(origin))
    return info


def fates(info: SourceInfo) -> list[tuple[str, str]]:
    return [(one.task_id, one.kind) for one in info.dropped]


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("set.jsonl", lines({"examples": couples(1)}, {"id": "b", "examples": couples(2)}), ["b", "set.0"]),
        ("set.jsonl", lines({"id": "a", **task(1)}, {"task_id": 7, **task(2)}), ["7", "a"]),
        ("set.json", lines({"id": "a", **task(1)}, {"id": "b", **task(2)}), ["a", "b"]),
        ("set.ndjson", lines({"name": "a", **task(1)}), ["a"]),
        ("set.jsonl", lines({"a": task(1)}, {"b": {"examples": couples(2)}, "c": task(3)}), ["a", "b", "c"]),
        ("set.json", json.dumps([task(1), {"id": "x", **task(2)}]), ["set.0", "x"]),
        ("set.json", json.dumps([{"examples": couples(1)}, {"examples": couples(2)}]), ["set.0", "set.1"]),
        ("set.json", json.dumps({"a": {"examples": couples(1)}, "b": couples(2)}), ["a", "b"]),
        ("set.json", json.dumps({"id": "own", **task(1)}), ["own"]),
        ("set.json", json.dumps({"tasks": [{"id": "a", **task(1)}, {"name": "b", **task(2)}]}), ["a", "b"]),
        ("set.json", json.dumps(couples(1)), ["set"]),
        ("set.json", json.dumps({"train": couples(1), "test": couples(2)[:1]}), ["set"]),
    ],
)
def test_lists_and_lines_of_tasks_are_read(tmp_path: Path, name: str, text: str, ids: list[str]) -> None:
    assert imported(tmp_path, put(tmp_path / name, text)).dropped == ()
    assert list(load_tasks(tmp_path, "mine")) == ids
    for encoding in ("utf-8-sig", "utf-16"):
        assert imported(tmp_path, put(tmp_path / "odd" / name, text, encoding=encoding)).tasks == len(ids)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert imported(tmp_path, packed).tasks == len(ids)
    folder = put(tmp_path / "folder" / name, text).parent
    (folder / f"again-{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert imported(tmp_path, folder).tasks >= len(ids)


def test_examples_become_a_pool(tmp_path: Path) -> None:
    imported(tmp_path, put(tmp_path / "set.jsonl", lines({"id": "a", "examples": couples(1)}) * 1))
    (only,) = load_tasks(tmp_path, "mine").values()
    assert only.is_pool and len(only.train) == 3 and only.n_train == 2


def test_a_broken_line_is_one_broken_task(tmp_path: Path) -> None:
    text = lines({"id": "a", **task(1)}) + '{"id": \n[1]\n' + lines({"id": "b", **task(2)})
    info = imported(tmp_path, put(tmp_path / "set.jsonl", text))
    assert info.tasks == 2
    assert fates(info) == [("set.jsonl, line 2", "dropped"), ("set.jsonl, line 3", "dropped")]


def test_a_line_ends_at_a_newline_alone(tmp_path: Path) -> None:
    record = {"id": "a", "note": "b\u2028c\u0085d\x1c", **task(1)}
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (record, {**record, "id": "b"}))
    assert imported(tmp_path, put(tmp_path / "set.jsonl", text)).tasks == 2


def test_a_double_id_is_reported_and_the_first_task_is_kept(tmp_path: Path) -> None:
    one, two = json.dumps(task(1)), json.dumps(task(2))
    info = imported(
        tmp_path, put(tmp_path / "set.json", f'{{"a": {one}, "a": {two}, "b": {one}, "b": {one}}}')
    )
    assert fates(info) == [("a", "doubled"), ("b", "doubled")]
    assert "another task; the first was taken" in info.dropped[0].reason
    assert "the same task" in info.dropped[1].reason
    assert load_tasks(tmp_path, "mine")["a"].train[0].input.tolist() == [[1, 1]]
    assert "2 doubled (1 × The id stands twice in the file: another task" in info.summary


def test_what_is_not_listed_is_still_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 2)
    records = [{"id": "a", **task(1)}] * 5 + [{"id": name} for name in "bcd"]
    info = imported(tmp_path, put(tmp_path / "set.jsonl", lines(*records)))
    assert [(one.task_id, one.count) for one in info.dropped] == [("a", 1), ("a", 1), ("…", 2), ("…", 3)]
    assert info.record["dropped"] == 7
    assert "3 dropped (3 × others like these)" in info.summary and "4 doubled (2 × A task" in info.summary


def test_a_key_that_stands_twice_in_a_task_is_reported(tmp_path: Path) -> None:
    pairs = json.dumps(task(1)["train"])
    text = f'{{"a": {{"train": {pairs}, "train": [], "test": {pairs}}}, "b": {json.dumps(task(1))}}}'
    info = imported(tmp_path, put(tmp_path / "set.json", text))
    assert fates(info) == [("a", "doubled")]
    assert "'train' stands there twice" in info.dropped[0].reason


def test_a_key_that_stands_twice_in_a_pair_is_reported(tmp_path: Path) -> None:
    pair = '{"input": [[1]], "input": [[2]], "output": [[1]]}'
    good = ", ".join(map(json.dumps, task(1)["train"] * 3))
    text = f'{{"a": {{"train": [{pair}, {good}], "test": [{good}]}}, "b": [{pair}, {good}]}}'
    info = imported(tmp_path, put(tmp_path / "set.json", text))
    assert fates(info) == [("a", "doubled"), ("b", "pair")]
    assert {one.reason for one in info.dropped} == {"Pair 0: The key 'input' stands there twice."}
    assert len(load_tasks(tmp_path, "mine")["b"].train) == 3


@pytest.mark.parametrize(
    ("solutions", "reason"),
    [
        ('{"a": [[[1]]], "a": [[[2]]]}', "the key 'a' stands there twice"),
        ('{"a": [[[1]]], "b": [[[2]]]}', "It answers 1 task not found there, such as 'b'."),
    ],
)
def test_answers_that_are_not_used_are_reported(tmp_path: Path, solutions: str, reason: str) -> None:
    folder = tmp_path / "set"
    questions = put(folder / "my_challenges.json", {"a": task(1, solved=False)})
    file = put(folder / "my_solutions.json", solutions)
    (dropped,) = imported(tmp_path, folder).dropped
    assert dropped.kind == "skipped" and reason in dropped.reason
    if "b" in solutions:
        (again,) = import_set(tmp_path, "again", str(questions), solutions=file)
        assert reason.rstrip(".") in again.summary
    put(folder / "my-solutions.json", {"a": [[[5]]]})
    put(file, {"a": [[[6]]]})
    with pytest.raises(UserError, match=r"holds two files of solutions for one set: my_solutions.json"):
        imported(tmp_path, folder)


def test_hidden_folders_are_skipped_and_reported(tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    for place in (
        "t0.json",
        ".ipynb_checkpoints/t0-checkpoint.json",
        "__MACOSX/._t0.json",
        "deep/.git/x.json",
    ):
        put(folder / place, task(1))
    wanted = [(".ipynb_checkpoints", "skipped"), ("__MACOSX", "skipped"), ("deep/.git", "skipped")]
    info = imported(tmp_path, folder)
    assert info.tasks == 1 and fates(info) == wanted
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*.json")):
            opened.write(path, path.relative_to(folder).as_posix())
    info = imported(tmp_path, archive)
    assert info.tasks == 1 and sorted(fates(info)) == wanted


def test_a_zip_made_on_windows_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("set\\tasks\\a.json", "\ufeff" + json.dumps(task(1)))
        opened.writestr("set\\..\\..\\b.json", json.dumps(task(2)))
    info = imported(tmp_path, archive)
    assert list(load_tasks(tmp_path, "mine")) == ["a"]
    assert [one.reason for one in info.dropped] == ["Its path leaves the folder."]


@pytest.mark.parametrize("sign", ["_", "-"])
@pytest.mark.parametrize("zipped", [False, True])
def test_kaggle_is_read_without_its_placeholder(tmp_path: Path, sign: str, zipped: bool) -> None:
    folder = tmp_path / "kaggle"
    for part, number in (("evaluation", 1), ("training", 2)):
        put(folder / f"arc-agi{sign}{part}{sign}challenges.json", {f"t{number}": task(number, solved=False)})
        put(folder / f"arc-agi{sign}{part}{sign}solutions.json", {f"t{number}": [[[5]]]})
    put(folder / f"arc-agi{sign}test{sign}challenges.json", {"t2": task(2, solved=False)})
    put(folder / "sample_submission.json", {"t2": [{"attempt_1": [[0]], "attempt_2": [[0]]}]})
    origin = folder
    if zipped:
        origin = tmp_path / "kaggle.zip"
        with zipfile.ZipFile(origin, "w") as opened:
            for path in folder.iterdir():
                opened.write(path, path.name)
    info, other = import_set(tmp_path, "mine", str(origin))
    for name, task_id in (("mine/evaluation", "t1"), ("mine/training", "t2")):
        (one,) = load_tasks(tmp_path, name).values()
        assert (one.task_id, one.test[0].output.tolist()) == (task_id, [[5]])  # type: ignore[union-attr]
    assert other.dropped == ()
    assert sorted(fates(info)) == [("sample_submission.json", "skipped"), ("t2", "doubled")]
    assert "placeholder" in info.summary and "it holds answers, no tasks" in info.summary


def test_a_bad_pair_leaves_its_pool_without_it(tmp_path: Path) -> None:
    good = [{"input": [[n]], "output": [[n, n]]} for n in range(5)]
    bad = [{"input": [[1, 2], [3]], "output": [[1]]}, {"input": [[10]], "output": [[1]]}, {"input": [[1]]}, 7]
    value = {"a": [*good[:2], *bad, *good[2:]], "few": [good[0], bad[0]], "b": {"train": good, "n_train": 4}}
    info = imported(tmp_path, put(tmp_path / "set.json", value))
    tasks = load_tasks(tmp_path, "mine")
    assert (len(tasks["a"].train), tasks["a"].n_train, tasks["b"].n_train) == (5, 3, 4)
    assert fates(info) == [("a", "pair")] * 4 + [("few", "dropped")]
    assert "Pair 2, input: row 1 has 1 cells but row 0 has 2" in info.dropped[0].reason
    assert "4 bad pairs left out" in info.summary


def test_what_is_not_read_names_what_is(tmp_path: Path) -> None:
    for value in (3, {"tasks": 3}, {"a1": {"grids": []}}, [[1, 2]], "text", [], {}):
        with pytest.raises(UserError, match=r"These layouts are read:") as refused:
            imported(tmp_path, put(tmp_path / "set.json", value))
        assert str(refused.value).count("\n") > 10
    put(tmp_path / "mixed" / "config.json", {"version": 3})
    put(tmp_path / "mixed" / "a.json", task(1))
    assert fates(imported(tmp_path, tmp_path / "mixed")) == [("config.json", "skipped")]


def test_what_would_not_fit_into_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrusted_json.parse_json, "__kwdefaults__", {"repeated": False, "most_lists": 100})
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("many.json", json.dumps([{"input": [[1]], "output": [[1]]}] * 50))
        opened.writestr("a.json", json.dumps(task(1)))
    info = imported(tmp_path, archive)
    assert "holds about 251 lists, more than the 100" in info.dropped[0].reason
    monkeypatch.setattr(untrusted_json, "MOST_TEXTS", 5)
    monkeypatch.setattr(untrusted_json, "MOST_VALUES", 5)
    for value, what in ((["a"] * 6, "6 texts"), ([1] * 7, "6 values")):
        with pytest.raises(UserError, match=f"holds about {what}, more than the 5"):
            untrusted_json.parse_json(json.dumps(value), "it")
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_PAIRS", 1)
    with pytest.raises(UserError, match=r"or 1 pairs\. Import a part of it"):
        imported(tmp_path, put(tmp_path / "set.json", task(1)))


@pytest.mark.parametrize(
    ("case", "tasks", "problems"),
    [
        ("layouts/notebook", 1, {".ipynb_checkpoints": "skipped"}),
        ("layouts/dup-id", 1, {"t0": "doubled"}),
        ("layouts/barc-jsonl", None, {}),
        ("layouts/json-list", None, {}),
        ("layouts/gz", None, {}),
    ],
)
def test_the_cases_of_others_are_read(
    tmp_path: Path, case: str, tasks: int | None, problems: dict[str, str] | None
) -> None:
    if not (CASES / case).exists():
        pytest.skip("the shared cases are not here")
    info = imported(tmp_path, CASES / case)
    assert info.tasks >= 1 and tasks in (None, info.tasks)
    assert problems is None or dict(fates(info)) == problems


def test_a_real_test_set_is_a_source_and_a_broken_part_leaves_all_out(tmp_path: Path) -> None:
    folder = tmp_path / "kaggle"
    for part, number in (("training", 1), ("evaluation", 2), ("test", 3)):
        put(folder / f"arc_{part}_challenges.json", {f"t{number}": task(number, solved=False)})
    infos = import_set(tmp_path, "mine", str(folder))
    assert [info.source for info in infos] == ["mine/evaluation", "mine/training", "mine/test"]
    (one,) = import_set(tmp_path, "whole/set", str(folder))
    assert one.tasks == 3, "a name with a part stays one source"
    (folder / "arc_test_challenges.json").write_text("{")
    assert [info.source for info in import_set(tmp_path, "torn", str(folder))] == [
        "torn/evaluation",
        "torn/training",
    ]
    put(folder / "arc_training_challenges.json", {"t1": {"train": "none"}})
    with pytest.raises(UserError, match="Nothing of"):
        import_set(tmp_path, "again", str(folder))
    assert not (tmp_path / "data" / "sources" / "again").exists()
