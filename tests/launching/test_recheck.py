"""`check` on a real experiment: quiet where all is well, and it finds what is done to the files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.checks.alarms import alarm_sentences, check_records
from core.errors import UserError
from core.experiments.listing import list_runs
from core.launching.launch import prepare
from core.launching.recheck import repeat_evaluations, rescore_experiment
from core.pipeline.stages import run_stage
from core.runs.layout import Run
from core.storage.files import append_record, read_json, write_json
from core.storage.seals import ENDING
from tests.specs.partitioned import deal_out_anew, partitioned
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root

pytestmark = pytest.mark.engine
CHECKED = {"eval_seed": 0, "exact": True, "equal_to_base": None}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two answered trainings of one variant; a weak model, whose answers may all be cut."""
    root = tiny_root(tmp_path_factory.mktemp("answered"))
    inference = {"engine": "transformers", "attempts": 3, "max_model_len": 128, "temperature": 1.0}
    spec = spec_of(
        root,
        train_seeds=[0, 1],
        variants={"plain": {"training": {"learning_rate": 0.02}}},
        evaluation={"sources": [{"source": "toy"}], "inference": inference},
    )
    runs = prepare(root, spec, ["launch"])
    assert all(run_stage(run, stage) for run in runs for stage in ("train", "infer"))
    return root


@pytest.fixture
def runs(answered: Path, tmp_path: Path) -> list[Run]:
    shutil.copytree(answered, tmp_path, dirs_exist_ok=True)
    return list_runs(tmp_path, "trial")


def found(run: Run) -> set[tuple[int, int | None, str]]:
    records = check_records(run.root, "trial")
    assert {record["variant"] for record in records} <= {"plain"}
    return {(record["train_seed"], record["eval_seed"], record["alarm"]) for record in records}


def copy_predictions(source: Path, target: Path) -> None:
    """Predictions with their seal, as one program that mixes them up would write them."""
    for path in (source, source.with_name(source.name + ENDING)):
        shutil.copy(path, target.with_name(path.name))


def test_what_is_done_to_the_files_is_found(runs: list[Run]) -> None:
    first, second = runs
    before = found(first)
    weak = {"cut", "unanswered", "leaks", "low_seen_accuracy"}
    assert {alarm for *_, alarm in before} <= weak, "an untrained model is weak, and the spec allows leaks"
    copy_predictions(first.predictions(0), first.predictions(1))
    assert found(first) - before >= {(0, 0, "identical_predictions"), (0, 1, "identical_predictions")}
    copy_predictions(second.predictions(0), first.predictions(0))
    after = found(first)
    assert {(0, 0, "identical_trainings"), (1, 0, "identical_trainings")} <= after
    assert (0, 0, "identical_predictions") not in after
    append_record(first.folder / "progress.jsonl", {"stage": "train", "step": 9, "loss": float("nan")})
    append_record(second.folder / "progress.jsonl", {"stage": "train", "step": 9, "seen_accuracy": 0.1})
    assert {(0, None, "nan_loss"), (1, None, "low_seen_accuracy")} <= found(first)


def test_repeating_tells_whether_inference_is_deterministic(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = runs
    assert repeat_evaluations(first.root, "trial") == 2
    record = read_json(first.folder / "check.json")
    assert record["equal"] == record["asked"] == 15
    assert not {"not_deterministic"} & {alarm for *_, alarm in found(first)}
    write_json(first.folder / "check.json", {**record, "equal": 14, "equal_to_base": 15})
    write_json(second.folder / "check.json", {**record, "equal_to_base": 14})
    assert {(0, 0, "not_deterministic"), (0, None, "same_as_base")} <= found(first)
    assert (1, None, "same_as_base") not in found(first)


def test_the_verbs_show_them(runs: list[Run]) -> None:
    write_json(runs[0].folder / "check.json", {**CHECKED, "asked": 4, "equal": 3})
    invoke = CliRunner().invoke
    root = ["--root", str(runs[0].root)]
    records: list[dict[str, Any]] = json.loads(invoke(app, ["check", "trial", "--json", *root]).output)
    assert list(records[0]) == ["variant", "train_seed", "eval_seed", "alarm", "value", "detail"]
    assert "1 of 4 repeated answers differ" in " ".join(alarm_sentences(records))
    shown = invoke(app, ["runs", "show", "trial", "plain", "0", *root]).output
    assert "Alarm: The same seed gave other answers: plain seed 0 (1 of 4 repeated answers differ)." in shown
    other = invoke(app, ["runs", "show", "trial", "plain", "1", *root]).output
    assert "The same seed gave other answers" not in other


def test_nothing_to_repeat_is_one_sentence(root: Path) -> None:
    prepare(root, spec_of(root), ["launch"])
    with pytest.raises(UserError, match="No run of 'trial' is answered yet, so nothing can be repeated"):
        repeat_evaluations(root, "trial")


def test_rescored_answers_stand_beside_the_voted_ones(runs: list[Run]) -> None:
    invoke, root = CliRunner().invoke, ["--root", str(runs[0].root)]
    asked = ["results", "trial", "--metric", "rescored_1", "--metric", "pass_n", "--json", *root]

    def means() -> dict[str, float | None]:
        return {record["metric"]: record["mean"] for record in json.loads(invoke(app, asked).stdout)}

    assert all(run_stage(run, "score") for run in runs)
    assert means()["rescored_1"] is None and means()["pass_n"] is not None
    said = invoke(app, ["rescore", "trial", "--views", "2", *root])
    assert said.exit_code == 0 and "Rescored 4 evaluations." in said.output
    found = means()
    assert found["rescored_1"] is not None and found["pass_n"] is not None
    assert 0 <= found["rescored_1"] <= found["pass_n"]
    submitted = runs[0].root / "submission.json"
    files = ["--kaggle", str(submitted), "--rescored"]
    said = invoke(app, ["predictions", "export", "trial", "plain", *files, *root])
    assert said.exit_code == 0 and "two attempts at 5 outputs of 4 tasks" in said.output


@pytest.fixture(scope="module")
def answered_list(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An answered run on the list of a partition, and the ids of its tasks."""
    root = tiny_root(tmp_path_factory.mktemp("listed"))
    spec, evaluated = partitioned(root)
    (run,) = prepare(root, spec, ["launch"])
    assert all(run_stage(run, stage) for stage in ("train", "infer"))
    return root, evaluated


@pytest.fixture
def split_again(answered_list: tuple[Path, list[str]], tmp_path: Path) -> tuple[Run, list[str]]:
    """The run and its tasks, after a new split put other tasks on the list."""
    root, evaluated = answered_list
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    assert not set(deal_out_anew(tmp_path)) & set(evaluated)
    (run,) = list_runs(tmp_path, "trial")
    return run, evaluated


def test_repeating_keeps_the_launched_tasks_after_a_new_split(
    split_again: tuple[Run, list[str]],
) -> None:
    run, evaluated = split_again
    assert repeat_evaluations(run.root, "trial") == 1
    record = read_json(run.check_file)
    table = pq.read_table(run.predictions(0))
    assert record["equal"] == record["asked"] == len(table) > 0
    assert set(table["task_id"].to_pylist()) == set(evaluated)


def test_rescoring_keeps_the_launched_tasks_after_a_new_split(
    split_again: tuple[Run, list[str]],
) -> None:
    run, evaluated = split_again
    assert rescore_experiment(run.root, "trial", 2, 8, lambda *_: None) == 2
    for seed in (0, 1):
        rescored = set(pq.read_table(run.candidates(seed))["task_id"].to_pylist())
        assert rescored <= set(evaluated)
