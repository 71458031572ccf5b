"""Predictions: whole, in the original view, and never asked for twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.arc.grids import same_grid
from core.arc.tasks import Task
from core.arc.views import View
from core.errors import UserError
from core.inference import prediction_parts
from core.inference.predict import predict, questions_of
from core.inference.prediction_parts import PartWriter
from core.inference.requests import Completion
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import embedded_tokenizer
from core.storage.schemas import PREDICTIONS, grids_of
from tests.inference.conftest import CopyingEngine, Row, evaluation_of

TOKENIZER = embedded_tokenizer()


def rows_of(path: Path) -> list[Row]:
    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def test_answers_are_turned_back_to_the_original_view(tasks: list[Task], tmp_path: Path) -> None:
    """The engine copies what it sees, so each answer, turned back, is the task's own input."""
    path = predict(evaluation_of(tasks), CopyingEngine(), TOKENIZER, tmp_path, lambda record: None)
    table = pq.read_table(path)
    assert table.schema.equals(PREDICTIONS)
    assert table.num_rows == 5 * 4
    by_id = {task.task_id: task for task in tasks}
    seen = set()
    for row, grid in zip(table.to_pylist(), grids_of(table, "output"), strict=True):
        test = by_id[row["task_id"]].test[row["test_index"]]
        assert same_grid(grid, test.input)
        view = View(row["symmetry"], tuple(row["colours"]), tuple(row["pair_order"]))
        assert row["text"] == "\n".join("".join(map(str, line)) for line in view.apply_to_grid(test.input))
        seen.add(view)
    assert len(seen) > 10
    keys = [(row["source"], row["task_id"], row["test_index"], row["attempt"]) for row in table.to_pylist()]
    assert keys == sorted(keys) and len(set(keys)) == 20


def test_a_row_tells_the_whole_story(tasks: list[Task], tmp_path: Path) -> None:
    evaluation = evaluation_of(tasks, eval_seed=3)
    path = predict(evaluation, CopyingEngine(), TOKENIZER, tmp_path, lambda record: None)
    questions = {question.attempt.key: question for question in questions_of(evaluation, TOKENIZER)}
    for row in rows_of(path):
        question = questions[row["source"], row["task_id"], row["test_index"], row["attempt"]]
        assert (row["experiment"], row["variant"], row["train_seed"], row["eval_seed"]) == (
            "trial",
            "plain",
            0,
            3,
        )
        assert row["prompt_tokens"] == question.prompt_tokens == len(question.request.tokens)  # type: ignore[union-attr]
        assert (row["output_tokens"], row["finish_reason"], row["logprob"]) == (
            len(row["text"]) + 1,
            "stop",
            -0.5,
        )
        assert row["symmetry"] == question.attempt.view.symmetry


def test_an_answer_that_is_no_grid_keeps_its_text(tasks: list[Task], tmp_path: Path) -> None:
    class Mumbling(CopyingEngine):
        def complete(self, requests: Any) -> Any:
            for completion in super().complete(requests):
                yield Completion(completion.index, "12\n3", 5, "length", -1.0)

    rows = rows_of(predict(evaluation_of(tasks), Mumbling(), TOKENIZER, tmp_path, lambda record: None))
    assert {(row["text"], row["finish_reason"]) for row in rows} == {("12\n3", "length")}
    assert {(row["output_cells"], row["output_h"], row["output_w"]) for row in rows} == {(None, None, None)}


@pytest.fixture
def a_part_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_parts, "SECONDS_PER_PART", 0.0)


@pytest.mark.usefixtures("a_part_for_each_answer")
def test_an_interrupted_evaluation_answers_only_what_is_left(tasks: list[Task], tmp_path: Path) -> None:
    evaluation = evaluation_of(tasks)
    first, second, whole = CopyingEngine(most=7), CopyingEngine(), CopyingEngine()
    with pytest.raises(KeyboardInterrupt):
        predict(evaluation, first, TOKENIZER, tmp_path / "a", lambda record: None)
    assert len(list((tmp_path / "a" / "parts").glob("*.parquet"))) == 7
    assert not (tmp_path / "a" / "predictions.parquet").exists()
    reports: list[Row] = []
    path = predict(evaluation, second, TOKENIZER, tmp_path / "a", reports.append)
    undisturbed = predict(evaluation, whole, TOKENIZER, tmp_path / "b", lambda record: None)
    assert len(second.asked) == 20 - 7
    assert [request for request in first.asked if request in second.asked] == second.asked
    assert rows_of(path) == rows_of(undisturbed)
    assert not (tmp_path / "a" / "parts").exists()
    steps = [report["step"] for report in reports]
    assert steps[0] == 8 and steps[-1] == 20 and steps == sorted(steps)
    assert {report["total"] for report in reports} == {20}


@pytest.mark.usefixtures("a_part_for_each_answer")
def test_a_broken_part_is_answered_again(tasks: list[Task], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(evaluation_of(tasks), CopyingEngine(most=7), TOKENIZER, tmp_path, lambda record: None)
    part = sorted((tmp_path / "parts").glob("*.parquet"))[2]
    part.write_bytes(part.read_bytes()[:100])
    (tmp_path / "parts" / ".part-00009.parquet.1.ab.tmp").write_bytes(b"PAR1")
    engine = CopyingEngine()
    rows = rows_of(predict(evaluation_of(tasks), engine, TOKENIZER, tmp_path, lambda record: None))
    assert len(engine.asked) == 20 - 6
    assert len({(row["task_id"], row["test_index"], row["attempt"]) for row in rows}) == len(rows) == 20


@pytest.mark.usefixtures("a_part_for_each_answer")
def test_parts_of_another_evaluation_are_refused(tasks: list[Task], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(evaluation_of(tasks), CopyingEngine(most=19), TOKENIZER, tmp_path, lambda record: None)
    fewer = evaluation_of(tasks, attempts=2)
    with pytest.raises(UserError, match=r"attempts instead of 10. Delete that folder and start"):
        predict(fewer, CopyingEngine(), TOKENIZER, tmp_path, lambda record: None)


def test_a_finished_evaluation_is_not_repeated(tasks: list[Task], tmp_path: Path) -> None:
    predict(evaluation_of(tasks), CopyingEngine(), TOKENIZER, tmp_path, lambda record: None)
    again = CopyingEngine()
    predict(evaluation_of(tasks), again, TOKENIZER, tmp_path, lambda record: None)
    assert again.asked == []


def test_a_tokenizer_that_cannot_write_grids_is_refused(tasks: list[Task], tmp_path: Path) -> None:
    """A base model that nobody trained has met no tokenizer check before."""
    from tests.prompts.test_templates import word_tokenizer

    engine = CopyingEngine()
    blind = word_tokenizer(list("012345678IO\n"), eos_token="<eos>")
    with pytest.raises(UserError, match=r"can't write \['9'\] back"):
        predict(evaluation_of(tasks), engine, blind, tmp_path, lambda record: None)
    assert engine.asked == []


def test_prompts_too_long_are_recorded_not_lost(tasks: list[Task], tmp_path: Path) -> None:
    lengths = {q.attempt.key: q.prompt_tokens for q in questions_of(evaluation_of(tasks), TOKENIZER)}
    shortest = min(lengths.values())
    assert shortest < max(lengths.values())
    engine = CopyingEngine()
    evaluation = evaluation_of(tasks, max_model_len=shortest + 1)
    rows = rows_of(predict(evaluation, engine, TOKENIZER, tmp_path, lambda record: None))
    assert len(rows) == 20
    long = [row for row in rows if row["finish_reason"] == "prompt_too_long"]
    assert len(long) == sum(length > shortest for length in lengths.values()) >= 1
    assert len(engine.asked) == 20 - len(long)
    for row in long:
        assert row["prompt_tokens"] > shortest and row["output_tokens"] == 0
        assert (row["text"], row["logprob"], row["output_cells"]) == (None, None, None)
    assert {request.max_output_tokens for request in engine.asked} == {1}


def test_prompts_are_shortened_and_list_the_pairs_they_show(tasks: list[Task], tmp_path: Path) -> None:
    whole = {q.attempt.key: q for q in questions_of(evaluation_of(tasks), TOKENIZER)}
    limit = min(question.prompt_tokens for question in whole.values())
    evaluation = evaluation_of(tasks, max_model_len=limit)
    evaluation = replace(evaluation, prompt=PromptSettings(too_long="shorten"))
    engine, reports = CopyingEngine(), []
    rows = rows_of(predict(evaluation, engine, TOKENIZER, tmp_path, reports.append))
    assert len(engine.asked) == len(rows) == 20
    assert {row["finish_reason"] for row in rows} == {"stop"}, "there is room for the whole answer"
    assert (reports[-1]["shortened"], reports[-1]["dropped"]) == (20, 0)
    for row in rows:
        question = whole[row["source"], row["task_id"], row["test_index"], row["attempt"]]
        order = bytes(question.attempt.view.pair_order or ())
        assert row["prompt_tokens"] < question.prompt_tokens
        assert row["pair_order"] == order[: len(row["pair_order"])] and 1 <= len(row["pair_order"]) < len(
            order
        )


def test_all_prompts_may_be_too_long(tasks: list[Task], tmp_path: Path) -> None:
    evaluation = evaluation_of(tasks, max_model_len=32)
    rows = rows_of(predict(evaluation, CopyingEngine(), TOKENIZER, tmp_path, lambda record: None))
    assert {row["finish_reason"] for row in rows} == {"prompt_too_long"} and len(rows) == 20


def test_answers_may_use_the_room_that_is_left_up_to_the_limit(tasks: list[Task]) -> None:
    for question in questions_of(evaluation_of(tasks), TOKENIZER):
        assert question.request is not None
        assert question.request.max_output_tokens == 128 - question.prompt_tokens
    for question in questions_of(evaluation_of(tasks, max_output_tokens=9), TOKENIZER):
        assert question.request is not None and question.request.max_output_tokens == 9


def test_sampling_seeds_differ_and_depend_on_their_attempt_alone(tasks: list[Task]) -> None:
    def seeds(chosen: list[Task], eval_seed: int) -> dict[Any, int]:
        questions = questions_of(evaluation_of(chosen, eval_seed), TOKENIZER)
        return {q.attempt.key: q.request.seed for q in questions if q.request}

    one = seeds(tasks, 0)
    assert len(set(one.values())) == 20
    assert not set(one.values()) & set(seeds(tasks, 1).values())
    assert seeds(tasks[2:], 0).items() <= one.items()
    assert all(0 <= seed < np.iinfo(np.int64).max for seed in one.values())


def test_what_is_left_follows_the_pace_of_answers_not_the_start_of_the_engine(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that starts for a hundred seconds and then answers once a second."""
    evaluation = evaluation_of(tasks)
    questions = list(questions_of(evaluation, TOKENIZER))
    clock = [0.0]
    monkeypatch.setattr(prediction_parts.time, "monotonic", lambda: clock[0])
    records: list[dict[str, Any]] = []
    to_read = sum(question.prompt_tokens for question in questions)
    writer = PartWriter(evaluation, tmp_path, records.append, questions, done=0, to_read=to_read)
    for second, question in enumerate(questions[:10], 101):
        clock[0] = float(second)
        writer.add(question, Completion(0, "1", 2, "stop", -0.5))
    assert records[0]["step"] == 1 and records[0]["eta_seconds"] is None
    read = sum(question.prompt_tokens for question in questions[: records[-1]["step"]])
    pace = (records[-1]["step"] - 1) / (read - questions[0].prompt_tokens)
    assert records[-1]["step"] > 5
    assert records[-1]["eta_seconds"] == pytest.approx(pace * (to_read - read))
