"""Rescoring: the mean over common views, of exactly the answers that were given, never asked for twice."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from core.arc.tasks import Task
from core.inference import rescore as rescore_module
from core.inference.engines import open_engine
from core.inference.predict import predict
from core.inference.requests import Completion, Request
from core.inference.rescore import candidates_of, rescore
from core.prompts.vocabulary import embedded_tokenizer
from core.storage.models import load_model
from core.storage.schemas import CANDIDATES, grids_of
from tests.inference.conftest import CopyingEngine, evaluation_of, tiny_inference

TOKENIZER = embedded_tokenizer()
PLAIN: dict[str, Any] = {"attempts": 7, "views": {"colours": "none"}}


class Guessing(CopyingEngine):
    """Answers `1`, `2` or no grid by turns; a given answer is the likelier the smaller its tokens are."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for index, request in enumerate(requests):
            self.asked.append(request)
            if request.answer:
                yield Completion(
                    index, "", 0, "stop", -float(sum(request.answer)) - len(request.tokens) / 100
                )
            else:
                yield Completion(index, ("1", "2", "12\n3")[index % 3], 2, "stop", -0.5)


def predicted(tasks: list[Task], folder: Path) -> None:
    predict(evaluation_of(tasks, **PLAIN), Guessing(), TOKENIZER, folder, lambda record: None)


def test_every_candidate_is_rescored_under_the_same_views(tasks: list[Task], tmp_path: Path) -> None:
    predicted(tasks, tmp_path)
    engine = Guessing()
    evaluation = evaluation_of(tasks, **PLAIN)
    path = rescore(evaluation, engine, TOKENIZER, tmp_path, lambda record: None, views=5)
    table = pq.read_table(path)
    assert table.schema.equals(CANDIDATES) and table.num_rows == 5 * 2
    assert len(engine.asked) == 5 * 2 * 5
    by_prompt: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for request in engine.asked:
        by_prompt.setdefault(tuple(request.tokens), set()).add(request.answer)
    assert {frozenset(answers) for answers in by_prompt.values()} == {frozenset({(4, 2), (5, 2)})}
    for row, grid in zip(table.to_pylist(), grids_of(table, "output"), strict=True):
        assert grid is not None and grid.tolist() == [[row["place"]]], "1 is likelier than 2 by one nat"
        assert row["views"] == 5 and row["votes"] >= 2
    first, second = (table.filter(np.array(table["place"]) == n)["logprob"].to_numpy() for n in (1, 2))
    assert first - second == pytest.approx(1)
    again = Guessing()
    rescore(evaluation, again, TOKENIZER, tmp_path, lambda record: None, views=5)
    assert again.asked == []


def test_the_most_voted_are_rescored_and_the_others_are_unknown(tasks: list[Task], tmp_path: Path) -> None:
    predicted(tasks, tmp_path)
    path = rescore(evaluation_of(tasks), Guessing(), TOKENIZER, tmp_path, lambda record: None, most=1)
    rows = pq.read_table(path).to_pylist()
    seen = {(row["place"], row["vote_place"], row["logprob"] is None) for row in rows}
    assert seen == {(1, 1, False), (2, 2, True)} and rows[0]["votes"] >= rows[1]["votes"]


def test_views_that_do_not_fit_count_for_nobody(tasks: list[Task], tmp_path: Path) -> None:
    predicted(tasks, tmp_path)
    engine = Guessing()
    evaluation = evaluation_of(tasks, max_model_len=32)
    rows = pq.read_table(rescore(evaluation, engine, TOKENIZER, tmp_path, lambda record: None)).to_pylist()
    assert engine.asked == [] and {(row["views"], row["logprob"]) for row in rows} == {(0, None)}
    assert [row["place"] for row in rows] == [row["vote_place"] for row in rows]


def test_an_interrupted_rescoring_goes_on(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescore_module, "OUTPUTS_PER_PART", 2)
    predicted(tasks, tmp_path)
    predicted(tasks, tmp_path / "b")
    evaluation, reports = evaluation_of(tasks), list[dict[str, Any]]()
    whole = rescore(evaluation, Guessing(), TOKENIZER, tmp_path / "b", reports.append)
    assert [report["step"] for report in reports] == [2, 4, 5]

    class OnePart(Guessing):
        parts = 0

        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            self.parts += 1
            if self.parts == 2:
                raise KeyboardInterrupt
            yield from super().complete(requests)

    with pytest.raises(KeyboardInterrupt):
        rescore(evaluation, OnePart(), TOKENIZER, tmp_path, lambda record: None)
    engine = Guessing()
    path = rescore(evaluation, engine, TOKENIZER, tmp_path, lambda record: None)
    assert len(engine.asked) == 3 * 2 * 8 and pq.read_table(path).equals(pq.read_table(whole))
    assert not (tmp_path / "rescoring").exists()


@pytest.mark.engine
def test_transformers_gives_the_likelihood_of_one_forward_pass(trained: Path) -> None:
    model = str(trained / "model")
    prompts = [list(TOKENIZER(text)["input_ids"]) for text in ("I12\n34\nO", "I1\nO")]
    requests = [Request(p, 1, 0, answer=a) for p in prompts for a in ((4, 5, 6, 2), (7, 2))]
    engine = open_engine(tiny_inference(), model)
    found = {one.index: one.logprob for one in engine.complete(requests)}
    plain = load_model(model).eval()
    for index, request in enumerate(requests):
        tokens = torch.tensor([[*request.tokens, *request.answer]])
        with torch.inference_mode():
            logits = plain(input_ids=tokens).logits[0, :-1].log_softmax(-1)
        start = len(request.tokens) - 1
        wanted = sum(float(logits[start + at, token]) for at, token in enumerate(request.answer))
        assert found[index] == pytest.approx(wanted, abs=1e-4)


def test_candidates_are_the_distinct_answers(tasks: list[Task], tmp_path: Path) -> None:
    predicted(tasks, tmp_path)
    found = candidates_of(tmp_path / "predictions.parquet")
    assert len(found) == 5
    for candidates in found.values():
        assert sum(one.votes for one in candidates) in (4, 5)
        assert candidates[0].votes >= candidates[1].votes
