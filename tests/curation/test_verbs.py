"""`data …` and `flags …` as a person types them: records, sentences, exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.__main__ import main
from core.curation.flags import all_flags, latest_flags
from tests.made_once import copy_of_arc1
from tests.printed import printed


def records(root: Path, *words: str) -> list[dict[str, Any]]:
    found = json.loads(printed(root, *words, "--json"))
    assert isinstance(found, list)
    return found


def refused(
    root: Path, *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["core", *words, "--root", str(root)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def arc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_arc1(tmp_path_factory, tmp_path_factory.mktemp("arc"))


def test_import_and_list(tmp_path: Path) -> None:
    assert "No source is imported yet" in printed(tmp_path, "data", "list")
    assert records(tmp_path, "data", "list") == []
    made = records(tmp_path, "data", "import", "arc1")
    assert [(one["source"], one["tasks"], one["dropped"]) for one in made] == [
        ("arc1/training", 400, 0),
        ("arc1/evaluation", 400, 0),
    ]
    assert {one["source"] for one in records(tmp_path, "data", "list")} == {
        "arc1/training",
        "arc1/evaluation",
    }


def test_what_was_dropped_is_shown(tmp_path: Path) -> None:
    good = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps({"good": good, "bad": {"train": []}}), encoding="utf-8")
    shown = printed(tmp_path, "data", "import", "mine", "--from", str(path))
    assert "dropped from mine: bad: Task 'bad' of mine has no demonstration pair" in shown


def test_show_draws_a_task_both_ways(arc: Path) -> None:
    assert "3×3 → 9×9" in printed(arc, "data", "show", "007bbfb7")
    assert "9×9 → 3×3" in printed(arc, "data", "show", "007bbfb7", "--reversed")
    shown = records(arc, "data", "show", "007bbfb7", "--source", "arc1/training")
    assert [one["role"] for one in shown] == ["train"] * 5 + ["test"]
    assert len(shown[0]["output"]) == 9


def test_leaks_split_and_stats(arc: Path) -> None:
    found = records(arc, "data", "leaks", "arc1/training", "arc1/evaluation")
    assert list(found[0]) == ["source_a", "task_a", "source_b", "task_b", "kind", "pairs"]
    assert len(found) == 2
    assert "No task of arc1/training gives away" in printed(
        arc, "data", "leaks", "arc1/training", "reversed:arc1/training"
    )
    assert "No partition yet" in printed(arc, "data", "partitions")
    made = records(arc, "data", "split", "--train", "700", "--val", "100", "--seed", "7")
    assert sum(one["tasks"] for one in made) == 800
    assert records(arc, "data", "partitions") == made
    assert [one["tasks"] for one in records(arc, "data", "stats")] == [400, 400]


def test_flags_from_add_to_export(arc: Path, tmp_path: Path) -> None:
    assert "arc1/training 007bbfb7: reversible yes" in printed(
        arc, "flags", "add", "007bbfb7", "yes", "--by", "me"
    )
    printed(arc, "flags", "add", "00d62c1b", "no", "--by", "me", "--source", "arc1/training")
    assert [one["value"] for one in records(arc, "flags", "list")] == ["yes", "no"]
    assert any(one["source"] == "reversed:arc1/training" for one in records(arc, "data", "list"))
    target = tmp_path / "flags.jsonl"
    assert "2 flags written" in printed(arc, "flags", "export", str(target))
    printed(arc, "flags", "add", "007bbfb7", "none", "--by", "me")
    assert [mark["task_id"] for mark in latest_flags(arc)] == ["00d62c1b"]
    assert "2 judgements read, 0 added" in printed(arc, "flags", "import", str(target))
    assert [mark["task_id"] for mark in latest_flags(arc)] == ["00d62c1b"]  # the withdrawal is the later one
    assert len(all_flags(arc)) == 3
    printed(arc, "flags", "add", "00d62c1b", "yes", "--by", "you")
    assert len(records(arc, "flags", "list", "--disputed")) == 2


def test_suggest_gives_records(arc: Path) -> None:
    found = records(arc, "flags", "suggest", "arc1/training", "--limit", "7")
    assert len(found) == 7
    assert list(found[0]) == ["source", "task_id", "probability", "reasons"]
    assert "rest on the prior" in printed(arc, "flags", "suggest", "arc1/training", "--limit", "1")
    assert records(arc, "flags", "suggest", "--quality")[0]["auc"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("data", "show", "007bbfc7"), "Did you mean '007bbfb7'?"),
        (
            ("data", "show", "x", "--source", "arc3"),
            "There is no source 'arc3'. Known sources: arc1/evaluation",
        ),
        (("data", "import", "nope"), "'nope' is no known set"),
        (("data", "leaks", "arc1", "arc9"), "There is no source 'arc9'"),
        (("data", "split", "--train", "9000"), "9100 tasks are wanted"),
        (("flags", "add", "007bbfb7", "maybe"), "'maybe' is no value of a flag"),
        (("flags", "import", "absent.jsonl"), "absent.jsonl does not exist"),
    ],
)
def test_mistakes_are_sentences_with_exit_code_2(
    arc: Path,
    words: tuple[str, ...],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sentence in refused(arc, *words, monkeypatch=monkeypatch, capsys=capsys)


def test_help_and_listing_load_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from core.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'duckdb', 'sklearn', 'scipy', 'torch'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    for words in (["--help"], ["data", "--help"], ["flags", "suggest", "--help"]):
        ran = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=60
        )
        assert ran.stdout.endswith("heavy: []\n"), ran.stdout[-200:]
