"""Submissions and files of predictions: written, checked, and read back as they were."""

import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.curation.sources import load_tasks
from core.errors import UserError
from core.exchange.import_predictions import import_predictions
from core.exchange.import_scores import import_results
from core.exchange.submissions import all_attempts, problems_of, read_attempts, submission
from core.results import attempt_prompt
from core.results.loading import Evaluation, load_scores
from core.results.reading import Reading
from core.results.table_records import records_of
from core.sql.ask import ask
from core.storage.schemas import PREDICTIONS, write_table
from tests.dashboard.alone import page_alone
from tests.shown import as_read
from tests.training.tiny import tiny_root

A, B, C = [[1, 2]], [[3], [4]], [[5]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_root(tmp_path, model=False)


def file_of(root: Path, value: Any) -> Path:
    path = root / "predictions.json"
    path.write_text(json.dumps(value))
    return path


def truths(root: Path) -> dict[str, list[Any]]:
    tasks = load_tasks(root, "toy").values()
    return {
        task.task_id: [pair.output.tolist() for pair in task.test if pair.output is not None]
        for task in tasks
    }


def means(root: Path) -> dict[str, float]:
    scores = load_scores(root, "old")
    records = records_of(
        scores,
        Reading(("accuracy", "vote_1", "vote_2", "unanswered")),
    )
    return {record["metric"]: record["mean"] for record in records}


def test_imported_predictions_are_scored_and_ties_go_to_the_first(root: Path) -> None:
    """Four tasks, the first with two outputs: one task is missing, one half right, two are tied."""
    known = truths(root)
    first, second, third, _ = known
    value = {
        first: [{"attempt_1": known[first][0], "attempt_2": None}, {"attempt_1": A, "attempt_2": A}],
        second: [{"attempt_10": known[second][0], "attempt_2": C}],
        third: [{"attempt_1": known[third][0], "attempt_2": B, "attempt_3": []}],
    }
    read = import_predictions(root, file_of(root, value), "toy", "old", "theirs")
    assert read.summary.startswith("9 attempts at 3 tasks read, 2 of them empty, 0 bad")
    found = means(root)
    assert found["accuracy"] == pytest.approx((0.25 + 0.5 + 1 / 3 + 0) / 4)
    assert found["vote_1"] == pytest.approx((0.5 + 0 + 1 + 0) / 4), "attempt_2 comes before attempt_10"
    assert found["vote_2"] == pytest.approx((0.5 + 1 + 1 + 0) / 4)
    back = all_attempts(root, "old", [Evaluation("theirs", 0, 0)])
    assert back[third] == [{"attempt_1": known[third][0], "attempt_2": B, "attempt_3": None}]
    assert import_predictions(root, file_of(root, back), "toy", "old", "again").bad == ()
    assert load_scores(root, "old").variants == ["theirs", "again"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "holds no object of task ids"),
        (
            {"nope": [{"attempt_1": A}]},
            "the source has no task 'nope', of 'predictions'. Name the right source",
        ),
        ({"00000001": {"attempt_1": A}}, "task '00000001' needs a list of 1 outputs"),
        ({"00000001": [{"attempt_1": A}] * 2}, "task '00000001' needs a list of 1 outputs"),
        ({"00000001": [{"guess": A}]}, "output 0 is no object of attempt_1, attempt_2"),
    ],
)
def test_what_is_no_prediction_is_named(root: Path, value: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        import_predictions(root, file_of(root, value), "toy", "old", "theirs")
    assert not (root / "runs").exists()


def test_a_bad_attempt_is_one_unanswered_attempt(root: Path) -> None:
    known = truths(root)
    second = list(known)[1]
    bad = [[[1, 2], [1]], [[11]], "rm", 3, {"guess": A}, {"answer": [[1, 2], [3]]}, [[]], True]
    value = {second: [{f"attempt_{n}": one for n, one in enumerate([known[second][0], *bad], 1)}]}
    read = import_predictions(root, file_of(root, value), "toy", "old", "theirs")
    assert len(read.bad) == len(bad) and "attempt_2: row 1 has 1 cells but row 0 has 2" in read.bad[0]
    assert "8 bad and counted as unanswered (task" in read.summary
    assert means(root)["accuracy"] == pytest.approx(1 / 9 / 4)
    assert means(root)["unanswered"] > 0


def test_answers_with_metadata_and_a_file_for_each_task(root: Path) -> None:
    known = truths(root)
    folder = root / "answers"
    (folder / ".cache").mkdir(parents=True)
    (folder / ".cache" / "x.json").write_text("{")
    for task_id, outputs in known.items():
        answers = [{"answer": grid, "metadata": {"model": "m"}} for grid in outputs]
        attempts = [{"attempt_1": answer, "attempt_2": None} for answer in answers]
        (folder / f"{task_id}.json").write_text("\ufeff" + json.dumps(attempts))
    read = import_predictions(root, folder, "toy", "old", "theirs")
    assert read.skipped == (".cache",) and means(root)["vote_1"] == 1
    zipped = Path(shutil.make_archive(str(root / "answers"), "zip", folder))
    assert import_predictions(root, zipped, "toy", "old", "zipped").grids.keys() == read.grids.keys()
    (alone,) = import_predictions(root, folder / f"{list(known)[1]}.json", "toy", "old", "alone").grids
    assert alone == (list(known)[1], 0)
    whole = {task_id: json.loads((folder / f"{task_id}.json").read_text("utf-8-sig")) for task_id in known}
    packed = root / "answers.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(whole).encode()))
    assert import_predictions(root, packed, "toy", "old", "packed").grids.keys() == read.grids.keys()


def test_an_answer_that_stands_twice_is_refused(root: Path) -> None:
    file = root / "predictions.json"
    for text in (
        '{"00000001": [{"attempt_1": [[1]]}], "00000001": []}',
        '{"00000001": [{"attempt_1": [[1]], "attempt_1": [[2]]}]}',
    ):
        file.write_text(text)
        with pytest.raises(UserError, match="stands there twice"):
            import_predictions(root, file, "toy", "old", "theirs")


def test_sql_knows_imported_predictions_and_numbers(root: Path) -> None:
    import_predictions(root, file_of(root, {"00000001": [{"attempt_1": A}]}), "toy", "old", "theirs")
    (root / "numbers.csv").write_text("variant,train_seed,eval_seed,accuracy\na,0,0,0.5\n")
    import_results(root, root / "numbers.csv", "numbers")
    found = ask(root, "SELECT experiment, value FROM imported").table.to_pylist()
    assert found == [{"experiment": "numbers", "value": 0.5}]


def test_names_that_are_taken_or_cannot_be_are_refused(root: Path) -> None:
    file = file_of(root, {"00000001": [{"attempt_1": A}]})
    import_predictions(root, file, "toy", "old", "theirs")
    with pytest.raises(UserError, match=r"runs/old/theirs/train-0/eval-0 is taken. Choose another variant"):
        import_predictions(root, file, "toy", "old", "theirs")
    with pytest.raises(UserError, match=r"'../x' can't be a name"):
        import_predictions(root, file, "toy", "old", "../x")


def prediction(task_id: str, attempt: int, grid: Any, logprob: float, eval_seed: int = 0) -> dict[str, Any]:
    cells = None if grid is None else bytes(cell for row in grid for cell in row)
    return {
        **dict.fromkeys(PREDICTIONS.names),
        "source": "toy", "task_id": task_id, "test_index": 0, "attempt": attempt, "train_seed": 0,
        "eval_seed": eval_seed, "logprob": logprob, "output_tokens": 2, "output_cells": cells,
        "output_h": grid and len(grid), "output_w": grid and len(grid[0]),
    }  # fmt: skip


def test_a_submission_holds_the_two_most_voted_answers(root: Path) -> None:
    rows = [
        *(prediction("00000001", number, B, -1.0) for number in (0, 3)),
        prediction("00000001", 1, A, -5.0),
        prediction("00000001", 2, C, -2.0),
        prediction("00000002", 0, None, -1.0),
        prediction("00000002", 1, A, math.nan),
    ]
    folder = root / "runs" / "old" / "theirs" / "train-0" / "eval-0"
    write_table(folder / "predictions.parquet", pa.Table.from_pylist(rows, PREDICTIONS), PREDICTIONS)
    (root / "runs" / "old" / "imported.json").write_text("{}")
    tasks = load_tasks(root, "toy")
    found = submission(root, "old", [Evaluation("theirs", 0, 0)], list(tasks.values()))
    assert found["00000001"] == [{"attempt_1": B, "attempt_2": C}], "a tie goes to the likelier answer"
    assert found["00000002"] == [{"attempt_1": A, "attempt_2": A}]
    assert found["00000000"] == [{"attempt_1": [[0]], "attempt_2": [[0]]}] * 2
    assert problems_of(found, tasks) == []


def spoilt(value: dict[str, Any], how: str) -> Any:
    match how:
        case "missing":
            del value["00000001"]
        case "unknown":
            value["zz"] = []
        case "outputs":
            value["00000000"].pop()
        case "attempts":
            value["00000002"][0].pop("attempt_2")
        case "more":
            value["00000002"][0]["attempt_3"] = A
        case "grid":
            value["00000003"][0]["attempt_1"] = [[1, 2], [3]]
        case "list":
            return [value]
    return value


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("missing", "Task '00000001' is missing."),
        ("unknown", "Task 'zz' is not in the source."),
        ("outputs", "Task '00000000' has 1 outputs instead of 2."),
        ("attempts", "Task '00000002', output 0 needs exactly attempt_1 and attempt_2."),
        ("more", "Task '00000002', output 0 needs exactly attempt_1 and attempt_2."),
        ("grid", "Task '00000003', output 0, attempt_1: row 1 has 1 cells but row 0 has 2."),
        ("list", "The file holds no object of task ids."),
    ],
)
def test_the_validator_finds_what_is_wrong(root: Path, how: str, sentence: str) -> None:
    tasks = load_tasks(root, "toy")
    right = {t: [{"attempt_1": A, "attempt_2": B} for _ in task.test] for t, task in tasks.items()}
    assert problems_of(right, tasks) == []
    (problem,) = problems_of(spoilt(right, how), tasks)
    assert problem.startswith(sentence)


def test_the_verbs_go_round(root: Path) -> None:
    invoke, at = CliRunner().invoke, ["--root", str(root)]
    value = {task: [{"attempt_1": grid} for grid in grids] for task, grids in truths(root).items()}
    theirs = ["--source", "toy", "--experiment", "old", "--variant", "theirs", *at]
    said = invoke(app, ["predictions", "import", str(file_of(root, value)), *theirs])
    assert said.exit_code == 0 and "5 attempts at 4 tasks read" in said.output
    assert means(root)["accuracy"] == 1.0
    kaggle, every = root / "submission.json", root / "all.json"
    files = ["--kaggle", str(kaggle), "--attempts", str(every)]
    said = invoke(app, ["predictions", "export", "old", "theirs", *files, *at])
    assert "two attempts at 5 outputs of 4 tasks" in said.output and json.loads(every.read_text()) == value
    said = invoke(app, ["predictions", "validate", str(kaggle), "--source", "toy", *at])
    assert said.exit_code == 0 and "is a valid submission for the 4 tasks of toy" in said.output
    said = invoke(app, ["predictions", "validate", str(every), "--source", "toy", *at])
    assert said.exit_code == 1 and "needs exactly attempt_1 and attempt_2" in said.output
    assert read_attempts(every, load_tasks(root, "toy"))


def test_the_prompt_of_an_imported_attempt_is_shown_as_unknown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = truths(root)
    first = next(iter(known))
    import_predictions(root, file_of(root, {first: [{"attempt_1": A}]}), "toy", "old", "theirs")
    shown = attempt_prompt.attempt_prompt(root, "old", Evaluation("theirs", 0, 0), "toy", first, 0, 0)
    assert (shown.prompt, shown.text, shown.prompt_tokens) == (None, None, None)
    assert shown.caption == attempt_prompt.IMPORTED and "is not known" in attempt_prompt.IMPORTED
    query = {"experiment": "old", "task": f"toy/{first}", "answer": "theirs/0/-/0/1"}
    page = page_alone(root, "tasks", monkeypatch, **query)
    assert not page.error
    assert attempt_prompt.IMPORTED in [as_read(element.value).strip() for element in page.caption]
