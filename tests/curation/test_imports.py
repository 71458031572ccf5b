"""Folders and Kaggle files become sources; what is broken is listed, not fatal."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.curation.imports import import_origin
from core.curation.sources import list_sources, load_tasks
from core.errors import UserError

GOOD = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_a_folder_keeps_the_good_tasks_and_lists_the_broken(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    write(folder / "good.json", GOOD)
    write(folder / "deeper" / "fine.json", GOOD)
    write(folder / "again" / "good.json", GOOD)
    write(folder / "torn.json", '{"train": [')
    write(folder / "ragged.json", {**GOOD, "train": [{"input": [[1, 2], [3]], "output": [[1]]}]})
    (folder / "link.json").symlink_to("/etc/passwd")
    (info,) = import_origin(tmp_path, str(folder), name="mine", licence="MIT")
    assert list(load_tasks(tmp_path, "mine")) == ["fine", "good"]
    reasons = {dropped.task_id: dropped.reason for dropped in info.dropped}
    assert set(reasons) == {"torn", "ragged", "good"}
    assert "row 1 has 1 cells but row 0 has 2" in reasons["ragged"]
    assert list_sources(tmp_path) == [info]
    assert (info.licence, len(info.sha256)) == ("MIT", 64)


def test_kaggle_challenges_meet_their_solutions(tmp_path: Path) -> None:
    asked = {**GOOD, "test": [{"input": [[3]]}, {"input": [[5]]}]}
    challenges = write(tmp_path / "challenges.json", {"a": asked, "b": asked, "c": asked})
    solutions = write(tmp_path / "solutions.json", {"a": [[[7]], [[8]]], "b": [[[7]]]})
    (info,) = import_origin(tmp_path, str(challenges), name="kaggle", solutions=solutions)
    tasks = load_tasks(tmp_path, "kaggle")
    assert [pair.output.tolist() for pair in tasks["a"].test] == [[[7]], [[8]]]  # type: ignore[union-attr]
    assert [pair.output for pair in tasks["c"].test] == [None, None]
    assert [dropped.task_id for dropped in info.dropped] == ["b"]
    (unsolved,) = import_origin(tmp_path, str(challenges), name="unsolved")
    assert unsolved.tasks == 3


@pytest.mark.parametrize(
    ("origin", "name", "sentence"),
    [
        ("nothing", "", "neither a known set nor a file or folder. Known sets: arc1"),
        ("torn.json", "mine", "is no valid JSON"),
        ("list.json", "mine", "is no challenges file"),
        ("bad.json", "mine", "Nothing of .* could be imported. .*no list 'train'"),
        ("bad.json", "", "needs a name as a source. Add: --name"),
        ("bad.json", "../up", "is no name for a source"),
        ("empty", "mine", "holds no .json file"),
    ],
)
def test_what_cannot_be_imported_says_why_and_leaves_nothing(
    tmp_path: Path, origin: str, name: str, sentence: str
) -> None:
    write(tmp_path / "torn.json", '{"a":')
    write(tmp_path / "list.json", [GOOD])
    write(tmp_path / "bad.json", {"a": {}})
    (tmp_path / "empty").mkdir()
    place = origin if origin == "nothing" else str(tmp_path / origin)
    with pytest.raises(UserError, match=sentence):
        import_origin(tmp_path, place, name=name)
    assert not list((tmp_path).rglob("*.parquet"))
