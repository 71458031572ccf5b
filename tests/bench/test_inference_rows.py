"""The inference rows: the same tasks on all sides, whole evaluations on ours, a sentence where one ends."""

import json
from pathlib import Path

import pytest

from core.arc.tasks import Task
from core.bench import inference, inference_process
from core.bench.bench_context import Workshop
from core.bench.registry import all_rows
from core.errors import UserError
from core.prompts.vocabulary import load_tokenizer
from tests.inference.conftest import CopyingEngine


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    return inference_process.prepared(tmp_path_factory.mktemp("data"))


def test_the_rows_are_listed() -> None:
    names = {row.name for row in all_rows()}
    assert {inference.BARE.name, inference.GENERATE.name, inference.SHARED.name} <= names


def test_ours_is_counted_from_tasks_to_files(tasks: list[Task], tmp_path: Path) -> None:
    assert len(tasks) >= inference.ADAPTED_TASKS > inference.TASKS
    sizes = [task.cells for task in tasks[: inference.TASKS]]
    assert max(sizes) > 4 * min(sizes), "prompts are ragged"
    engine = CopyingEngine()
    evaluation = inference_process.evaluation_of(tasks[:3], 2, 5)
    job = inference_process.job_of(tmp_path, evaluation)
    found = inference_process.answered([job], engine, load_tokenizer(inference_process.MODEL))
    texts = [request.tokens for request in engine.asked]
    assert len(texts) == 2 * sum(len(task.test) for task in tasks[:3])
    assert found["tokens"] > sum(map(len, texts)) and found["seconds"] > 0
    said = (job.folder.parent / "progress.jsonl").read_text().splitlines()
    assert json.loads(said[-1])["step"] == len(texts), "progress is part of it"


@pytest.mark.engine
def test_the_peer_gets_the_same_prompts_whatever_the_batch(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_process, "ANSWER_TOKENS", 4)
    turn = inference_process.generate_side(sorted(tasks, key=lambda task: task.cells)[:2], 2)
    assert turn("1", 0)["tokens"] == turn("3", 0)["tokens"] > 100


def test_a_side_that_ends_is_one_sentence(tmp_path: Path) -> None:
    """Also: what an earlier call answered there is gone."""
    earlier = tmp_path / "answering/broken/predictions.parquet"
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    with (
        pytest.raises(UserError, match=r"A side of the benchmark ended \(.*ValueError.*\). Read .*log.txt"),
        inference.Side(Workshop(tmp_path), "broken", "generate", "many", 1) as side,  # type: ignore[arg-type]
    ):
        side.next_answer()
    assert not earlier.exists()
