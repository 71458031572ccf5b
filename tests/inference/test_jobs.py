"""Many evaluations by one engine: each reaches its own folder, goes on alone, and is asked for once."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.arc.tasks import Task
from core.errors import UserError
from core.inference import prediction_parts
from core.inference.predict import Job, answer, predict
from core.inference.requests import Completion
from core.prompts.vocabulary import embedded_tokenizer
from tests.inference.conftest import CopyingEngine, Row, evaluation_of

TOKENIZER = embedded_tokenizer()


def jobs_of(folder: Path, tasks: list[Task], adapters: list[Path | None], reports: list[Row]) -> list[Job]:
    return [
        Job(evaluation_of(tasks, seed), folder / f"{seed}", reports.append, adapter)
        for seed, adapter in enumerate(adapters)
    ]


def ended(jobs: list[Job], engine: CopyingEngine) -> dict[str, UserError | None]:
    return {job.folder.name: problem for job, problem in answer(jobs, engine, TOKENIZER)}


@pytest.fixture
def adapters(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "a", tmp_path / "b"]
    for path in made:
        path.mkdir()
    return made


def test_each_evaluation_is_what_it_is_alone(tasks: list[Task], tmp_path: Path, adapters: list[Path]) -> None:
    engine, reports = CopyingEngine(), list[Row]()
    jobs = jobs_of(tmp_path / "together", tasks, [*adapters, None], reports)
    assert ended(jobs, engine) == {"0": None, "1": None, "2": None}
    for job in jobs:
        alone = predict(job.evaluation, CopyingEngine(), TOKENIZER, tmp_path / "alone", lambda record: None)
        assert pq.read_table(job.folder / "predictions.parquet").equals(pq.read_table(alone))
        alone.unlink()
    assert [request.adapter for request in engine.asked] == [adapters[0]] * 20 + [adapters[1]] * 20 + [
        None
    ] * 20
    assert {(report["eval_seed"], report["total"]) for report in reports} == {(0, 20), (1, 20), (2, 20)}


def test_an_adapter_that_cannot_be_loaded_leaves_the_others_alone(
    tasks: list[Task], tmp_path: Path, adapters: list[Path]
) -> None:
    engine = CopyingEngine()
    jobs = jobs_of(tmp_path, tasks, [adapters[0], tmp_path / "gone", adapters[1]], [])
    found = ended(jobs, engine)
    assert found["0"] is None and found["2"] is None
    assert isinstance(found["1"], UserError) and "gone' can't be loaded" in str(found["1"])
    assert len(engine.asked) == 40 and not (tmp_path / "1").exists()


def test_interrupted_jobs_ask_only_what_is_left(
    tasks: list[Task], tmp_path: Path, adapters: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine answers the last job first and is interrupted inside the first one."""
    monkeypatch.setattr(prediction_parts, "SECONDS_PER_PART", 0.0)
    reports: list[Row] = []
    jobs = jobs_of(tmp_path, tasks, list(adapters), reports)
    with pytest.raises(KeyboardInterrupt):
        ended(jobs, CopyingEngine(most=27))
    assert (tmp_path / "1" / "predictions.parquet").exists()
    assert len(list((tmp_path / "0" / "parts").glob("*.parquet"))) == 7
    again = CopyingEngine()
    assert ended(jobs, again) == {"0": None, "1": None}
    assert len(again.asked) == 13 and {request.adapter for request in again.asked} == {adapters[0]}
    last = CopyingEngine()
    assert ended(jobs, last) == {"0": None, "1": None} and last.asked == []


def test_a_job_is_yielded_as_soon_as_it_is_whole(tasks: list[Task], tmp_path: Path) -> None:
    """Not when all are: an engine that answers in order is still at work on the second then."""

    class InOrder(CopyingEngine):
        answered = 0

        def complete(self, requests):  # type: ignore[no-untyped-def]
            for index, _ in enumerate(requests):
                self.answered += 1
                yield Completion(index, "1", 2, "stop", -0.5)

    engine = InOrder()
    seen = [engine.answered for _ in answer(jobs_of(tmp_path, tasks, [None, None], []), engine, TOKENIZER)]
    assert seen == [20, 40]
