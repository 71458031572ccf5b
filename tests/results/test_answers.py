"""Answers to a task agree with the scores, prompts with the tokens that a model reads."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.arc.views import View
from core.errors import UserError
from core.prompts.templates import PromptSettings, prompt_tokens
from core.reports.text_tables import tasks_table
from core.results import answers, attempt_prompt, differences
from core.results.curves import solved
from core.results.loading import Scores, load_scores
from core.results.reading import Reading
from core.results.verdicts import compare_records
from core.storage.files import read_json, write_json
from core.storage.schemas import PREDICTIONS, write_table
from core.synthetic.experiments import SOURCE, make_experiment

NAME = "my-question"
A, B = "plain", "twice-as-long"


@pytest.fixture(scope="module")
def scores(project: Path) -> Scores:
    return load_scores(project, NAME)


def predictions_of(root: Path, variant: str, train_seed: int, eval_seed: int) -> list[dict]:
    folder = root / "runs" / NAME / variant / f"train-{train_seed}" / f"eval-{eval_seed}"
    return pq.read_table(folder / "predictions.parquet", partitioning=None).to_pylist()


def test_places_of_answers_are_those_of_the_scores(project: Path, scores: Scores) -> None:
    compared = 0
    for source, task_id in scores.tasks[::4]:
        found = answers.answers_of(project, NAME, scores.evaluations, source, task_id)
        for number, evaluation in enumerate(scores.evaluations):
            for place, output in enumerate(scores.outputs):
                if output[:2] != (source, task_id):
                    continue
                own = [
                    one
                    for one in found
                    if (one.variant, one.train_seed, one.eval_seed, one.test_index)
                    == (evaluation.variant, evaluation.train_seed, evaluation.eval_seed, output[2])
                ]
                right = [one for one in own if one.kind == answers.RIGHT]
                grids = [one for one in own if one.grid is not None]
                value = {name: column[number, place] for name, column in scores.columns.items()}
                assert sum(one.votes for one in own) == value["attempts"] == own[0].attempts
                assert sum(one.votes for one in right) == value["correct"]
                assert (right[0].place if right else 0) == value["vote_rank"]
                assert len(grids) == value["distinct"]
                assert [one.place for one in grids] == list(range(1, len(grids) + 1))
                assert sum(one.votes for one in own if one.grid is None) == value["unanswered"]
                compared += 1
    assert compared == 10 * 18 + 2 * 18


@pytest.mark.parametrize("unit, groups", [("evaluation", 18), ("run", 9), ("variant", 3)])
def test_a_unit_counts_its_attempts_together(project: Path, scores: Scores, unit: str, groups: int) -> None:
    found = answers.answers_of(project, NAME, scores.evaluations, *scores.tasks[1], unit=unit)
    sums: dict[tuple, int] = {}
    for one in found:
        key = (one.variant, one.train_seed, one.eval_seed)
        sums[key] = sums.get(key, 0) + one.votes
        assert one.attempts == 8 * 18 // groups
    assert set(sums.values()) == {8 * 18 // groups} and len(sums) == groups


def test_the_mean_logprob_is_that_of_the_attempts(project: Path, scores: Scores) -> None:
    source, task_id = scores.tasks[2]
    first = answers.answers_of(project, NAME, scores.evaluations[:1], source, task_id)[0]
    one = scores.evaluations[0]
    own = [
        row
        for row in predictions_of(project, one.variant, one.train_seed, one.eval_seed)
        if row["task_id"] == task_id
        and row["output_cells"] == first.grid.tobytes()  # type: ignore[union-attr]
        and row["test_index"] == 0
    ]
    assert first.votes == len(own)
    assert first.logprob_per_token == pytest.approx(
        np.mean([row["logprob"] / row["output_tokens"] for row in own])
    )
    assert first.example[1] in [row["attempt"] for row in own]


@pytest.mark.parametrize("unit", ["evaluation", "run", "variant"])
def test_the_attempts_of_an_answer_are_those_that_gave_it(project: Path, scores: Scores, unit: str) -> None:
    source, task_id = scores.tasks[0]
    rows = [
        row
        for one in scores.evaluations
        for row in predictions_of(project, one.variant, one.train_seed, one.eval_seed)
        if row["task_id"] == task_id
    ]
    found = answers.answers_of(project, NAME, scores.evaluations, source, task_id, unit=unit)[:12]
    assert len(found) == 12
    for answer in found:
        made = answers.attempts_of(project, NAME, scores.evaluations, source, task_id, answer)
        cells = None if answer.grid is None else answer.grid.tobytes()
        expected = {
            (row["variant"], row["train_seed"], row["eval_seed"], row["attempt"])
            for row in rows
            if row["variant"] == answer.variant
            and row["test_index"] == answer.test_index
            and answer.train_seed in (None, row["train_seed"])
            and answer.eval_seed in (None, row["eval_seed"])
            and row["output_cells"] == cells
            and (cells is None or answer.grid.shape == (row["output_h"], row["output_w"]))  # type: ignore[union-attr]
        }
        assert len(made) == answer.votes == len(expected)
        assert {(one.variant, one.train_seed, one.eval_seed, attempt) for one, attempt in made} == expected


def test_kinds_of_failure() -> None:
    truth = np.zeros((3, 4), dtype=np.uint8)
    near, other = truth.copy(), truth.copy()
    near.ravel()[:5] = 1
    other.ravel()[:6] = 1
    given = [truth, near, other, truth.T, None]
    assert [answers.kind_of(grid, truth) for grid in given] == list(answers.KINDS)
    mask = answers.wrong_cells(near, truth)
    assert mask is not None and mask.sum() == 5 and mask.shape == truth.shape
    assert answers.wrong_cells(truth.T, truth) is None


def test_orders_put_the_hardest_and_the_most_uncertain_first(scores: Scores) -> None:
    strip = solved(scores)
    shares = {}
    for order in answers.ORDERS:
        found = answers.ordered(scores, strip, order)
        assert sorted(found.tasks) == sorted(strip.tasks)
        assert found.right.sum() == strip.right.sum()
        shares[order] = (found.right.sum(axis=0) / found.attempts.sum(axis=0)).tolist()
    assert shares["hardest"] == sorted(shares["hardest"]) and shares["hardest"][0] == 0
    assert shares["easiest"] == sorted(shares["easiest"], reverse=True)
    doubt = [share * (1 - share) for share in shares["uncertain"]]
    assert doubt == sorted(doubt, reverse=True) and doubt[0] > 0.2
    assert list(answers.ordered(scores, strip, "name").tasks) == list(scores.tasks)


def test_a_task_or_predictions_that_are_gone_are_reported(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2, skills={"plain": 0})
    scores = load_scores(tmp_path, NAME)
    with pytest.raises(UserError, match="has no task 'nothing' any more"):
        answers.answers_of(tmp_path, NAME, scores.evaluations, SOURCE, "nothing")
    next((tmp_path / "runs").rglob("predictions.parquet")).unlink()
    with pytest.raises(UserError, match=r"predictions\.parquet is gone"):
        answers.answers_of(tmp_path, NAME, scores.evaluations, *scores.tasks[0])


def test_the_prompt_is_what_the_model_read(tmp_path: Path) -> None:
    """Decoding the tokens that inference sends gives the shown prompt, marks included."""
    from core.prompts.vocabulary import embedded_tokenizer

    make_experiment(tmp_path, runs=1, evaluations=1, tasks=3, attempts=2, skills={"plain": 0})
    tokenizer = embedded_tokenizer()
    model = tmp_path / "data" / "models" / "tiny"
    tokenizer.save_pretrained(model)
    write_json(model / "config.json", {})
    (model / "model.safetensors").touch()
    scores = load_scores(tmp_path, NAME)
    (evaluation,) = scores.evaluations
    path = next((tmp_path / "runs").rglob("predictions.parquet"))
    rows = pq.read_table(path, partitioning=None).to_pylist()
    view = View(5, (0, 2, 1, *range(3, 10)), (1, 0))
    row = next(row for row in rows if len(row["pair_order"]) == 2)
    row |= {"symmetry": 5, "colours": bytes(view.colours), "pair_order": bytes(view.pair_order or ())}
    write_table(path, pa.Table.from_pylist(rows, schema=PREDICTIONS), PREDICTIONS)

    key = (row["source"], row["task_id"], row["test_index"], row["attempt"])
    shown = attempt_prompt.attempt_prompt(tmp_path, NAME, evaluation, *key)
    assert (replace(shown.view, pair_order=shown.pair_order), shown.note, shown.text) == (
        view,
        "",
        row["text"],
    )
    tokens = prompt_tokens(shown.task, PromptSettings(), tokenizer)
    assert tokenizer.decode(tokens) == shown.prompt
    assert shown.prompt.startswith("<bos>I") and shown.prompt.count("<eos>") == 2
    task = answers.evaluated_task(tmp_path, row["source"], row["task_id"])
    assert shown.task.train[0].input.tolist() == view.apply_to_grid(task.train[1].input).tolist()

    row["pair_order"] = bytes([1])
    write_table(path, pa.Table.from_pylist(rows, schema=PREDICTIONS), PREDICTIONS)
    with pytest.raises(UserError, match="has changed since this attempt"):
        attempt_prompt.attempt_prompt(tmp_path, NAME, evaluation, *key)
    record = next((tmp_path / "runs").rglob("run.json"))
    recipe = read_json(record)["recipe"]
    write_json(record, read_json(record) | {"recipe": {**recipe, "prompt": {"too_long": "shorten"}}})
    fewer = attempt_prompt.attempt_prompt(tmp_path, NAME, evaluation, *key)
    assert (fewer.pair_order, fewer.task.train) == ((1,), shown.task.train[:1])
    assert fewer.prompt.count("<eos>") == 1

    (model / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json is no valid JSON"):
        attempt_prompt.attempt_prompt(tmp_path, NAME, evaluation, *key)
    shutil.rmtree(tmp_path / "data" / "models")
    assert (
        attempt_prompt.attempt_prompt(tmp_path, NAME, evaluation, *key).note == attempt_prompt.MARKS_UNKNOWN
    )
    with pytest.raises(UserError, match="has no attempt 99"):
        attempt_prompt.attempt_prompt(tmp_path, NAME, evaluation, *key[:3], 99)


def test_differences_add_up_to_the_difference_of_the_means(scores: Scores) -> None:
    found = differences.task_differences(scores, A, B, "accuracy")
    (record,) = compare_records(scores, A, B, Reading(("accuracy",)), ["recipe"])
    assert np.mean([one.difference for one in found]) == pytest.approx(record["difference"])
    sizes = [abs(one.difference) for one in found]
    assert sizes == sorted(sizes, reverse=True) and len(found) == 40
    paired = differences.these_checkpoints(scores, A, B, "accuracy")
    assert paired.wins == sum(one.difference > 0 for one in found)
    assert paired.losses == sum(one.difference < 0 for one in found)
    assert "not the recipes" in paired.label
    words = {one.words for one in found}
    assert {"A wrong, B right", "both wrong", "both right sometimes"} <= words
    for one in found:
        assert (one.words == "A wrong, B right") == (one.right_a == 0 and one.right_b > 0)
        assert (one.words == "A right, B wrong") == (one.right_a > 0 and one.right_b == 0)


def test_a_task_is_won_by_its_own_mean_whatever_the_outputs_count(scores: Scores) -> None:
    by_task = differences.these_checkpoints(scores, A, B, "accuracy")
    by_output = differences.these_checkpoints(scores, A, B, "accuracy", "by_output")
    assert (by_output.wins, by_output.losses, by_output.ties) == (by_task.wins, by_task.losses, by_task.ties)
    (record,) = compare_records(scores, A, B, Reading(("accuracy",), "by_output"), ["recipe"])
    assert by_output.difference == pytest.approx(record["difference"])
    listed = differences.task_differences(scores, A, B, "accuracy", "by_output")
    assert listed == differences.task_differences(scores, A, B, "accuracy") and by_task.ties > 0
    assert all(0 <= one.a <= 1 and 0 <= one.b <= 1 for one in listed)


def test_of_unanswered_attempts_the_variant_with_fewer_is_ahead(scores: Scores) -> None:
    found = differences.task_differences(scores, A, B, "unanswered")
    paired = differences.these_checkpoints(scores, A, B, "unanswered")
    assert len(differences.kept(found, ["wins"])) == paired.wins > 0
    assert len(differences.kept(found, ["losses"])) == paired.losses > 0
    first = differences.sorted_by(found, "B ahead")[0]
    assert first.b < first.a and first.lead > 0 > first.difference


def test_a_list_of_tasks_has_the_unit_of_its_metric(scores: Scores) -> None:
    found = differences.task_differences(scores, A, B, "candidates")
    table = tasks_table(found, A, B, "candidates")
    assert table.header[3:] == [f"A: {A}, answers", f"B: {B}, answers", "B − A, answers"]
    assert float(table.rows[0][3]) == pytest.approx(found[0].a, abs=0.05) and found[0].a > 1


def test_the_headline_names_the_better_variant_and_its_scope(scores: Scores) -> None:
    assert differences.first_pair(scores, "accuracy") == (A, B)
    (clear,) = compare_records(scores, A, B, Reading(("accuracy",)), ["recipe"])
    assert differences.headline(A, B, clear).startswith(f"{B} is better than {A}: +")
    (unclear,) = compare_records(scores, A, "more-colours", Reading(("accuracy",)), ["recipe"])
    said = differences.headline(A, "more-colours", unclear)
    assert "can't tell more-colours from plain" in said and "may be luck of the training" in said


def test_only_differing_settings_are_listed(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2, skills={A: 0, B: 1})
    scores = load_scores(tmp_path, NAME)
    assert differences.differing_settings(tmp_path, scores, A, B) == [
        {"setting": "training.steps", "a": 10, "b": 20}
    ]
    path = tmp_path / "runs" / NAME / B / "train-0" / "run.json"
    record = read_json(path)
    extra = {"source": "re-arc", "weight": 2.0, "max_cells": None, "evaluated_only": True}
    record["recipe"]["mixture"]["sources"].append(extra)
    write_json(path, record)
    found = {one["setting"]: one for one in differences.differing_settings(tmp_path, scores, A, B)}
    added = found.pop("mixture.sources[re-arc]")  # one setting, whatever is set of it
    assert (added["a"], added["b"]) == (None, "weight 2.0, evaluated only yes")
    assert list(found) == ["training.steps"]
    assert differences.differing_settings(tmp_path, scores, A, A) == []


def test_the_verb_shows_votes(project: Path, scores: Scores) -> None:
    source, task_id = scores.tasks[1]
    command = ["predictions", "show", NAME, task_id, "--root", str(project)]
    run = CliRunner().invoke(app, [*command, "--json"])
    records = json.loads(run.output)
    groups = itertools.groupby(records, key=lambda one: (one["variant"], one["train_seed"], one["eval_seed"]))
    counted = [sum(record["votes"] for record in group) for _, group in groups]
    assert counted == [8] * 18
    assert {record["source"] for record in records} == {source}
    assert all((record["output"] is None) == (record["kind"] == "no_grid") for record in records)
    few = CliRunner().invoke(app, [*command, "--variant", A, "--train-seed", "1", "--eval-seed", "0"])
    assert "of 8" in few.output and B not in few.output
    assert any(word in few.output for word in ("right", "≤ 5 cells off"))


def test_the_verb_names_what_is_wrong(project: Path, scores: Scores) -> None:
    task_id = scores.tasks[1][1]
    command = ["predictions", "show", NAME, "--root", str(project)]
    near = CliRunner().invoke(app, [*command, task_id[:-1] + "z"])
    assert isinstance(near.exception, UserError) and f"Did you mean '{task_id}'" in str(near.exception)
    none = CliRunner().invoke(app, [*command, task_id, "--train-seed", "77"])
    assert "no such evaluation with predictions" in str(none.exception)
