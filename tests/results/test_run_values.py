"""Tables agree with a computation by hand, keep the spec's order, and say what is missing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from core.bench import plain_metrics
from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.results.loading import load_scores, scores_stamp
from core.results.run_values import evaluation_values, offered_metrics, progress_sentence, run_records
from core.scoring.metrics import output_metric
from core.storage.seals import seal_path
from core.synthetic.experiments import SKILLS, make_experiment, make_tasks
from tests.result_table import result_records
from tests.scoring.aggregate import aggregate

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "my-question"
METRICS = ["accuracy", "correct_pixels", "unanswered", "vote_1", "vote_2", "pass_1", "pass_4"]


def results_verb(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_verb(root, "results", *arguments)


def run_verb(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "core", *arguments, "--root", str(root)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("how", ["by_task", "by_output", "all_outputs"])
def test_the_verb_agrees_with_a_computation_by_hand(project: Path, how: str) -> None:
    named = [part for metric in METRICS for part in ("--metric", metric)]
    said = results_verb(project, NAME, "--json", "--aggregation", how, *named)
    records = json.loads(said.stdout)
    tasks = make_tasks()
    assert [(record["variant"], record["metric"]) for record in records] == [
        (variant, metric) for variant in SKILLS for metric in METRICS
    ]
    for record in records:
        folder = project / "runs" / NAME / record["variant"]
        # no answer is neither right nor wrong: a task has no product of it
        form = "by_task" if (record["metric"], how) == ("unanswered", "all_outputs") else how
        runs = [
            [
                plain_metrics.aggregated(plain_metrics.output_values(tasks, path, record["metric"]), form)
                for path in sorted(run.glob("eval-*/predictions.parquet"))
            ]
            for run in sorted(folder.glob("train-*"))
        ]
        mean, std, n = plain_metrics.mean_and_std(runs)
        assert record["mean"] == pytest.approx(mean, abs=1e-9)
        assert record["std"] == pytest.approx(std, abs=1e-9)
        assert (record["n"], record["scope"], record["aggregation"]) == (n, "recipe", how)
        assert n == 3 and {len(run) for run in runs} == {2}


def test_the_interval_holds_students_and_the_seeds_noise(project: Path) -> None:
    record = result_records(project, NAME, ["accuracy"])[0]
    half = 4.30265 * record["std"] / 3**0.5
    assert record["low"] < record["mean"] - half and record["high"] > record["mean"] + half
    assert record["low"] >= 0 and record["high"] <= 1


def test_metrics_are_those_of_the_spec_unless_named(project: Path) -> None:
    asked = [record["metric"] for record in result_records(project, NAME)[:4]]
    assert asked == ["accuracy", "correct_pixels", "vote_2", "unanswered"]
    with pytest.raises(UserError, match="Did you mean 'accuracy'"):
        result_records(project, NAME, ["acuracy"])


def test_values_per_task_have_the_metric_as_their_mean(project: Path) -> None:
    scores = load_scores(project, NAME)
    assert len(scores.outputs) > len(scores.tasks)
    for how in ("by_task", "by_output", "all_outputs"):
        whole = aggregate(output_metric("accuracy", scores.columns), scores.task_index, how)
        assert evaluation_values(scores, "accuracy", how).mean(axis=1) == pytest.approx(whole, abs=1e-12)


def test_each_run_has_its_number(project: Path) -> None:
    records = run_records(load_scores(project, NAME), "accuracy")
    assert [(record["variant"], record["train_seed"]) for record in records] == [
        (variant, seed) for variant in SKILLS for seed in range(3)
    ]
    table = {record["variant"]: record["mean"] for record in result_records(project, NAME, ["accuracy"])}
    for variant, mean in table.items():
        values = [record["value"] for record in records if record["variant"] == variant]
        assert sum(values) / 3 == pytest.approx(mean)
    assert all(record["evaluations"] == 2 and record["std_evaluations"] > 0 for record in records)


def test_unfinished_runs_are_counted(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=2, tasks=5, skills={"zebra": 0, "ant": 1})
    folder = tmp_path / "runs" / NAME
    shutil.rmtree(folder / "ant" / "train-1" / "eval-1")
    shutil.rmtree(folder / "zebra" / "train-0" / "eval-0")
    shutil.rmtree(folder / "zebra" / "train-0" / "eval-1")
    said = results_verb(tmp_path, NAME)
    assert "2 of 4 runs evaluated, 1 in part." in said.stdout
    records = result_records(tmp_path, NAME, ["accuracy"])
    assert [(record["variant"], record["n"]) for record in records] == [("zebra", 1), ("ant", 2)]
    assert records[0]["std"] is None and records[0]["low"] is None
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("zebra")]
    assert "±" not in line and " 1 " in line


def test_an_output_that_one_evaluation_lacks_counts_as_wrong(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=2, tasks=4, skills={"strong": 9})
    path = tmp_path / "runs" / NAME / "strong" / "train-0" / "eval-1" / "scores.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    seal_path(path).unlink()
    scores = load_scores(tmp_path, NAME)
    assert scores.missing == 1
    assert scores.columns["attempts"].sum() == (2 * table.num_rows - 1) * 8
    assert evaluation_values(scores, "pass_n")[1].mean() == pytest.approx(0.75)
    assert "1 test outputs have no attempt" in results_verb(tmp_path, NAME).stdout


def test_what_is_not_there_is_a_sentence_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no experiment 'demo'.*core launch demo"):
        result_records(tmp_path, "demo")
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    with pytest.raises(UserError, match=r"no experiment '\.\./my-question'.*Known: my-question"):
        result_records(tmp_path, "../my-question")
    for path in (tmp_path / "runs").rglob("scores.parquet"):
        path.unlink()
    said = results_verb(tmp_path, NAME)
    assert said.returncode == 2
    assert "No run of 'my-question' is evaluated yet" in said.stderr


@pytest.mark.parametrize("damage", ["torn", "empty", "scrambled", "short of a column", "elsewhere", "NULL"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=3, skills={"plain": 0})
    folder = tmp_path / "runs" / NAME / "plain"
    path = folder / "train-1" / "eval-0" / "scores.parquet"
    data = path.read_bytes()
    match damage:
        case "torn":
            path.write_bytes(data[: len(data) // 2])
        case "empty":
            path.write_bytes(b"")
        case "scrambled":
            path.write_bytes(data[:4] + bytes(255 - byte for byte in data[4:600]) + data[600:])
        case "short of a column":
            for each in folder.rglob("scores.parquet"):
                pq.write_table(pq.read_table(each, partitioning=None).drop_columns("votes_tied"), each)
                seal_path(each).unlink()
            path = folder / "train-0" / "eval-0" / "scores.parquet"
        case "elsewhere":
            shutil.copy(folder / "train-0" / "eval-0" / "scores.parquet", path)
            seal_path(path).unlink()
        case "NULL":
            table = pq.read_table(path, partitioning=None)
            variants = table.column("train_seed").to_pylist()
            pq.write_table(table.set_column(2, "train_seed", [[None] * len(variants)]), path)
            seal_path(path).unlink()
    said = results_verb(tmp_path, NAME, "--json")
    assert said.returncode == 2
    assert str(path.relative_to(tmp_path)) in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("attempts", -4, "attempts is no count"),
        ("attempts", None, "attempts is no count"),
        ("attempts", 0, "correct is more than attempts"),
        ("correct", None, "correct is unknown"),
        ("pixels_max", None, "pixels_max is unknown"),
        ("pixels_sum", float("nan"), "pixels_sum is unknown"),
        ("vote_rank", None, "vote_rank is unknown"),
        ("correct", -1, "correct is no count"),
        ("votes_tied", 2**31 - 1, "votes_tied is more than attempts"),
        ("pixels_max", 7.5, "pixels_max is out of range"),
        ("pixels_sum", float("inf"), "pixels_sum is out of range"),
        ("variant", "other", "holds the scores of my-question, other, train seed 1"),
        ("experiment", "other", "holds the scores of other, plain, train seed 1"),
    ],
)
def test_numbers_that_can_not_be_true_are_named(
    tmp_path: Path, column: str, value: object, reason: str
) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=3, skills={"plain": 9})
    path = tmp_path / "runs" / NAME / "plain" / "train-1" / "eval-0" / "scores.parquet"
    rows = pq.read_table(path, partitioning=None)
    values = [*rows.column(column).to_pylist()[:-1], value]
    place, kind = rows.column_names.index(column), rows.schema.field(column).type
    pq.write_table(rows.set_column(place, column, pa.array(values, kind)), path)
    seal_path(path).unlink()
    with pytest.raises(UserError, match=reason) as problem:
        load_scores(tmp_path, NAME)
    assert str(path) in str(problem.value)


def test_a_file_of_the_future_hides_no_change_of_another(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=3, skills={"plain": 9})
    first, second = sorted((tmp_path / "runs" / NAME).rglob("scores.parquet"))
    os.utime(first, (2**33, 2**33))
    before = scores_stamp(tmp_path, NAME)
    status = second.stat()
    os.utime(second, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert scores_stamp(tmp_path, NAME) != before


def test_scores_of_a_task_that_is_not_asked_are_named(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=3, skills={"plain": 9})
    before = load_scores(tmp_path, NAME)
    lists = [{"source": "toy/evaluation", "tasks": [name for _, name in before.tasks], "sha256": "0"}]
    frozen = tmp_path / "runs" / NAME / "tasks.json"
    frozen.write_text(json.dumps({"evaluated": lists, "trained": {}}))
    assert load_scores(tmp_path, NAME).missing == before.missing == 0
    path = tmp_path / "runs" / NAME / "plain" / "train-1" / "eval-0" / "scores.parquet"
    rows = pq.read_table(path, partitioning=None)
    place = rows.column_names.index("task_id")
    names = [*rows.column("task_id").to_pylist()[:-1], "elsewhere"]
    pq.write_table(rows.set_column(place, "task_id", pa.array(names, pa.string())), path)
    seal_path(path).unlink()
    with pytest.raises(UserError, match=r"'elsewhere' is no task that is asked.*Delete it") as problem:
        load_scores(tmp_path, NAME)
    assert str(path) in str(problem.value)
    frozen.write_text("{")
    assert load_scores(tmp_path, NAME).missing == 2, "where nobody knows what is asked"


def test_a_renamed_experiment_is_read(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=3)
    (tmp_path / "runs" / NAME).rename(tmp_path / "runs" / "renamed")
    assert load_scores(tmp_path, "renamed").evaluations


def test_a_broken_description_is_a_sentence(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    path = tmp_path / "runs" / NAME / "experiment.yaml"
    value = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**value, "metrics": 3}))
    with pytest.raises(UserError, match=r"experiment.yaml: 'metrics'"):
        load_scores(tmp_path, NAME)
    path.write_text(yaml.safe_dump({**value, "baseline": "nobody"}))
    with pytest.raises(UserError, match=r"baseline 'nobody' is none of more-colours, plain"):
        load_scores(tmp_path, NAME)
    path.write_text("- just a list")
    with pytest.raises(UserError, match=r"experiment.yaml: 'the whole file'"):
        load_scores(tmp_path, NAME)


def test_metrics_on_offer_can_be_answered(project: Path) -> None:
    scores = load_scores(project, NAME)
    offered = offered_metrics(scores)
    assert offered[:4] == list(scores.experiment.metrics)
    assert "pass_8" in offered and "pass_16" not in offered
    for metric in offered:
        assert 0 <= evaluation_values(scores, metric).mean() <= 1
    assert progress_sentence(scores) == ""


def test_the_latest_experiment_comes_first(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_experiment(tmp_path, name, runs=1, evaluations=1, tasks=2, skills={"plain": 0})
        time.sleep(0.02)
    assert list_experiments(tmp_path) == ["second", "first"]


def processor_seconds(*arguments: str) -> float:
    """Of a Python child, the better of two; what else the machine does hardly lengthens them."""

    def once() -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, *arguments], cwd=REPOSITORY, check=True, capture_output=True, timeout=60
        )
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    return min(once(), once(), once())


def test_the_verb_is_quick_and_loads_no_statistics_it_does_not_need(project: Path) -> None:
    verb = processor_seconds("-m", "core", "results", NAME, "--json", "--root", str(project))
    libraries = "duckdb, pyarrow.parquet, pydantic, typer, rich.table, scipy.special"
    assert verb < 2.5 * processor_seconds("-c", f"import {libraries}")
    command = [sys.executable, "-X", "importtime", "-m", "core", "results", NAME, "--root", str(project)]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300).stderr
    loaded = {line.rsplit("|", 1)[1].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert "duckdb" in loaded
    assert loaded & {"pandas", "scipy.stats", "statsmodels", "torch", "streamlit"} == set()
