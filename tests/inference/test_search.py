"""Depth-first search finds what brute force finds, by requests that a real engine could answer."""

import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from core.errors import UserError
from core.experiments.experiment import read_experiment
from core.inference import predict_by_search
from core.inference.predict import predict
from core.inference.prediction_parts import Evaluation
from core.inference.requests import Completion, Request
from core.inference.search import Answer, alternatives_of, end_tokens, search
from core.inference.settings import InferenceSettings, SearchSettings
from core.inference.transformers_engine import TransformersEngine
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import load_tokenizer
from core.results.curves import pass_curves, vote_curves
from core.results.loading import COLUMNS, Scores
from core.results.loading import Evaluation as ScoredEvaluation
from core.results.run_values import evaluation_values, offered_metrics
from core.scoring.metrics import check_for_search, output_metric
from core.specs.spec import checked_spec
from tests.training.tiny import copy_task, tiny_root, tiny_spec

END, VOCABULARY, LONGEST = 0, 4, 6
ENDS = frozenset({END})


class Toy:
    """A model of four tokens whose next token depends on all before it; it answers in any order."""

    def __init__(self, seed: int, sharpness: float) -> None:
        self.seed, self.sharpness = seed, sharpness
        self.asked: list[list[int]] = []

    def logprobs(self, tokens: Iterable[int]) -> np.ndarray:
        rng = np.random.default_rng([self.seed, *tokens])
        logits = self.sharpness * rng.normal(size=VOCABULARY)
        return np.asarray(logits - np.log(np.exp(logits).sum()))

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for index, request in reversed(list(enumerate(requests))):
            self.asked.append(request.tokens)
            tokens, places, total = [], [], 0.0
            while len(tokens) < request.max_output_tokens:
                values = self.logprobs([*request.tokens, *tokens])
                order = np.argsort(-values)[: request.alternatives]
                places.append(tuple((int(token), float(values[token])) for token in order))
                tokens.append(int(order[0]))
                total += float(values[order[0]])
                if tokens[-1] == END:
                    break
            reason = "stop" if tokens[-1] == END else "length"
            yield Completion(index, "", len(tokens), reason, total, tuple(tokens), tuple(places))


def by_force(toy: Toy, prompt: list[int], bound: float) -> list[Answer]:
    """All answers above the bound, by looking at every sequence there is."""
    found = []
    for length in range(LONGEST):
        for tokens in itertools.product(range(1, VOCABULARY), repeat=length):
            steps = [*tokens, END]
            logprob = sum(toy.logprobs([*prompt, *steps[:place]])[token] for place, token in enumerate(steps))
            if logprob >= math.log(bound):
                found.append(Answer(tokens, float(logprob)))
    return sorted(found, key=lambda one: -one.logprob)


@pytest.mark.parametrize("bound", [0.3, 0.1, 0.02])
@pytest.mark.parametrize("sharpness", [0.5, 1.5, 4.0])
def test_it_finds_what_brute_force_finds(bound: float, sharpness: float) -> None:
    toy = Toy(1, sharpness)
    prompts = [[7, number] for number in range(4)]
    settings = SearchSettings(min_probability=bound, most_requests=10_000)
    found = search([Request(prompt, LONGEST, 0) for prompt in prompts], toy, ENDS, settings)
    counted = 0
    for prompt, one in zip(prompts, found, strict=True):
        known = by_force(toy, prompt, bound)
        assert [answer.tokens for answer in one.answers] == [answer.tokens for answer in known]
        assert [answer.logprob for answer in one.answers] == pytest.approx([a.logprob for a in known])
        assert len(known) <= 1 / bound and sum(math.exp(answer.logprob) for answer in known) <= 1
        counted += len(known)
    assert counted or bound == 0.3
    assert sum(one.requests for one in found) == len(toy.asked)
    beyond = {tuple(tokens) for tokens in toy.asked}
    assert len(beyond) == len(toy.asked), "no branch is asked twice"


def test_requests_that_run_out_leave_the_least_likely() -> None:
    toy = Toy(3, 0.8)
    everything, some = (
        search(
            [Request([7], LONGEST, 0)], toy, ENDS, SearchSettings(min_probability=0.01, most_requests=most)
        )[0]
        for most in (10_000, 5)
    )
    assert some.requests == 5 and not some.exhaustive
    assert set(some.answers) < set(everything.answers)
    assert some.answers[0] == everything.answers[0]


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    toy = Toy(2, 4.0)
    settings = SearchSettings(min_probability=0.1, most_requests=1000)
    (whole,) = search([Request([7, 1], LONGEST, 0)], toy, ENDS, settings)
    (short,) = search([Request([7, 1], 1, 0)], toy, ENDS, settings)
    assert all(not answer.tokens for answer in short.answers) and len(whole.answers) >= len(short.answers)


@pytest.mark.parametrize(("bound", "count"), [(0.1, 10), (0.3, 3), (0.05, 20), (1.0, 1)])
def test_no_more_tokens_than_can_be_above_the_bound(bound: float, count: int) -> None:
    assert alternatives_of(SearchSettings(min_probability=bound)) == count


@pytest.fixture(scope="module")
def sharp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose logits are far apart, so that it prefers some answers."""
    from transformers import AutoModelForCausalLM

    root = tiny_root(tmp_path_factory.mktemp("sharp"))
    folder = root / "data" / "models" / "tiny"
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.norm.weight.mul_(10)
    model.save_pretrained(folder)
    return root


def settings_of(**values: Any) -> InferenceSettings:
    plain = {"engine": "transformers", "attempts": 2, "max_model_len": 128, "max_output_tokens": 3}
    return InferenceSettings.model_validate({**plain, **values})


@pytest.mark.engine
def test_a_real_engine_finds_what_it_says_of_every_answer(sharp: Path) -> None:
    """All answers of at most two tokens, each by the likelihood that the engine gives it."""
    settings = settings_of(search={"min_probability": 0.02})
    assert settings.search is not None
    engine = TransformersEngine(settings, str(sharp / "data" / "models" / "tiny"))
    tokenizer = load_tokenizer(str(sharp / "data" / "models" / "tiny"))
    texts = ("I1\nO", "I23\n", "O")
    prompts = [[int(token) for token in tokenizer(text)["input_ids"]] for text in texts]
    (first,) = engine.complete([Request(prompts[0], 1, 0, alternatives=3)])
    likely = first.alternatives[0][0][0]  # the model hardly ever ends by itself, so let this end answers, too
    ends = end_tokens(tokenizer) | {likely}
    tokens = sorted(set(range(len(tokenizer))) - ends)
    every = [(), *((one,) for one in tokens), *itertools.product(tokens, tokens)]
    whole = [(answer, end) for answer in every for end in sorted(ends)]
    found = search([Request(prompt, 3, 0) for prompt in prompts], engine, ends, settings.search)
    counted = 0
    for prompt, one in zip(prompts, found, strict=True):
        asked = [Request(prompt, 1, 0, answer=(*answer, end)) for answer, end in whole]
        told = [(said.logprob, whole[said.index][0]) for said in engine.complete(asked)]
        known = sorted((said for said in told if said[0] >= math.log(0.02)), reverse=True)
        assert [answer.tokens for answer in one.answers] == [answer for _, answer in known]
        assert [answer.logprob for answer in one.answers] == pytest.approx(
            [said for said, _ in known], abs=1e-4
        )
        counted += len(known)
    assert counted >= 2, "else the test shows nothing"


@pytest.mark.engine
def test_an_evaluation_that_was_cut_off_goes_on_with_the_next_views(
    sharp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(search={"min_probability": 0.1, "most_requests": 20})
    model = str(sharp / "data" / "models" / "tiny")
    engine, tokenizer = TransformersEngine(settings, model), load_tokenizer(model)
    tasks = [copy_task(number) for number in range(3)]
    evaluation = Evaluation("trial", "plain", 0, 0, tasks, settings, PromptSettings())
    reports: list[dict[str, Any]] = []
    whole = pq.read_table(predict(evaluation, engine, tokenizer, tmp_path / "whole", reports.append))
    assert (reports[-1]["step"], reports[-1]["total"], reports[-1]["eval_seed"]) == (6, 6, 0)

    def breaks(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_by_search, "SEARCHED_TOGETHER", 2)
    with pytest.raises(KeyboardInterrupt):
        predict(evaluation, engine, tokenizer, tmp_path / "cut", breaks)
    again: list[dict[str, Any]] = []
    cut = pq.read_table(predict(evaluation, engine, tokenizer, tmp_path / "cut", again.append))
    assert [one["step"] for one in again] == [4, 6] and not (tmp_path / "cut" / "parts").exists()
    assert cut.drop(["logprob"]) == whole.drop(["logprob"])
    rows = whole.to_pylist()
    assert {(row["task_id"], row["attempt"] // 10) for row in rows} == {
        (task.task_id, view) for task in tasks for view in (0, 1)
    }
    for row in rows:
        assert row["text"] is None or row["finish_reason"] != "stop" or row["logprob"] >= math.log(0.1) - 1e-6


def test_what_counts_attempts_refuses_answers_of_a_search() -> None:
    for name in ("pass_8", "vote_2", "accuracy", "pass_n", "expected_vote_1"):
        with pytest.raises(UserError, match=rf"^{name} counts attempts made alike.*Use found, candidates"):
            check_for_search(name)
    for name in ("found", "candidates", "rescored_2", "max_correct_pixels"):
        check_for_search(name)
    columns = {"attempts": np.array([3, 0]), "correct": np.array([1, 0]), "distinct": np.array([3, 0])}
    assert output_metric("found", columns).tolist() == [1.0, 0.0]
    assert output_metric("candidates", columns).tolist() == [3.0, 0.0]
    inference = {"search": {"min_probability": 0.1}}
    evaluation = {"sources": [{"source": "toy"}], "inference": inference}
    with pytest.raises(UserError, match="counts attempts made alike"):
        checked_spec(tiny_spec(evaluation=evaluation), "spec")
    assert checked_spec(tiny_spec(evaluation=evaluation, metrics=["found"]), "spec").metrics == ("found",)
    with pytest.raises(ValueError, match="leave out temperature"):
        settings_of(search={}, temperature=1.0)


def test_curves_and_tables_of_a_search_refuse(tmp_path: Path) -> None:
    """Scores as a search leaves them: the experiment's own spec says that it searched."""
    folder = tmp_path / "runs" / "trial"
    folder.mkdir(parents=True)
    spec = tiny_spec(metrics=["found"])
    spec["evaluation"]["inference"]["search"] = {"min_probability": 0.1}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(spec))
    experiment = read_experiment(tmp_path, "trial")
    assert experiment.search
    columns = {name: np.ones((1, 1)) for name in (*COLUMNS, "rescored_rank")}
    scores = Scores(
        experiment, (ScoredEvaluation("plain", 0, 0),), (("toy", "a", 0),), (("toy", "a"),),
        np.zeros(1, dtype=np.int64), columns,
    )  # fmt: skip
    assert evaluation_values(scores, "found").tolist() == [[1.0]]
    assert scores.unit("candidates") == "answers" and offered_metrics(scores)[:2] == ["found", "candidates"]
    for refused in (
        lambda: evaluation_values(scores, "accuracy"),
        lambda: pass_curves(scores),
        lambda: vote_curves(tmp_path, scores, 2),
    ):
        with pytest.raises(UserError, match="counts attempts made alike"):
            refused()
