"""Evaluations by vLLM in a process of their own: `python -m tests.inference.vllm_child TRAINED TARGET`.

One engine after another: the full model greedy, at a temperature and by search, adapters, and one that can't
start. Each evaluation lies in a folder of its own; what the engines did besides stands in `seen.json`.
"""

import json
import random
import shutil
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import UserError
from core.inference.engines import open_engine
from core.inference.predict import Job, answer, predict
from core.inference.requests import Engine
from core.inference.rescore import rescore
from core.inference.vllm_engine import VllmEngine
from core.prompts.vocabulary import load_tokenizer
from tests.inference.conftest import evaluation_of, tiny_inference
from tests.training.tiny import copy_task

TASKS = [copy_task(number, tests=2 if number == 0 else 1) for number in range(6)]
ADAPTERS = ("adapter", "adapter-1", "adapter-2")
SETTINGS = tiny_inference(engine="vllm")
SEARCH: dict[str, Any] = {"search": {"min_probability": 0.02, "most_requests": 200}, "max_output_tokens": 12}


def draws() -> list[float]:
    """The next draw of each global generator."""
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002


def _model_of(engine: VllmEngine) -> torch.nn.Module:
    worker = engine.library.llm_engine.engine_core.engine_core.model_executor.driver_worker
    model: torch.nn.Module = worker.get_model()
    return model


class Child:
    """What is asked of engines of one trained model, into folders of a target."""

    def __init__(self, trained: str, target: str) -> None:
        self.trained, self.target = Path(trained), Path(target)
        self.model = str(self.trained / "model")
        self.tokenizer = load_tokenizer(self.model)
        self.seen: dict[str, Any] = {}

    def ask(self, engine: Engine, name: str, eval_seed: int, **changes: object) -> None:
        """Predict one evaluation."""
        evaluation = evaluation_of(TASKS, eval_seed, engine="vllm", **changes)
        predict(evaluation, engine, self.tokenizer, self.target / name, lambda record: None)

    def full_model(self) -> None:
        """Evaluations by the model as it is; its engine is closed, and frees its weights."""
        engine = open_engine(SETTINGS, self.model)
        self.seen["first_draws"] = draws()
        assert isinstance(engine, VllmEngine)
        self.ask(engine, "full-1", 1)
        self.ask(engine, "full-2", 2)
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(0)
        self.ask(engine, "full-1-again", 1)
        self.ask(engine, "short", 1, max_output_tokens=1)
        again = self.target / "rescored"
        shutil.copytree(self.target / "full-1", again)
        rescore(evaluation_of(TASKS, 1, engine="vllm"), engine, self.tokenizer, again, lambda record: None)
        self.ask(engine, "only-grids", 1, only_grids=True, max_output_tokens=40)
        weights = weakref.ref(next(iter(_model_of(engine).parameters())))
        self.seen |= {"version": engine.version, "dtype": engine.dtype}
        engine.close()
        self.seen["freed"] = weights() is None

    def sampled(self) -> None:
        """Evaluations at a temperature."""
        hot = open_engine(tiny_inference(engine="vllm", temperature=2.0, max_concurrent=512), self.model)
        self.seen["same_draws"] = self.seen.pop("first_draws") == draws()
        self.ask(hot, "hot-1", 1)
        self.ask(hot, "hot-2", 2)
        self.ask(hot, "hot-1-again", 1)
        self.ask(hot, "hot-crowd", 1, attempts=16, temperature=2.0, max_output_tokens=2)

    def searched(self) -> None:
        """All answers above a probability, by depth-first search."""
        engine = open_engine(tiny_inference(engine="vllm", **SEARCH), self.model)
        self.ask(engine, "searched", 1, **SEARCH)
        engine.close()

    def adapters(self) -> None:
        """Three adapters and the base at once, and then a damaged adapter beside a whole one."""
        several = open_engine(SETTINGS, self.model, [self.trained / name for name in ADAPTERS])
        assert isinstance(several, VllmEngine)
        evaluation = evaluation_of(TASKS, 1, engine="vllm")
        named = [(name, self.trained / name) for name in ADAPTERS] + [("base", None)]
        jobs = [
            Job(evaluation, self.target / f"{name}-at-once", lambda record: None, adapter)
            for name, adapter in named
        ]
        ended = [(job.folder.name, problem) for job, problem in answer(jobs, several, self.tokenizer)]
        assert sorted(ended) == sorted((job.folder.name, None) for job in jobs), ended
        damaged = self.target / "damaged"
        shutil.copytree(self.trained / "adapter", damaged)
        (damaged / "adapter_model.safetensors").write_bytes(b"junk" * 100)
        several._numbers[damaged] = 9
        two = [
            Job(evaluation, self.target / "never", lambda record: None, damaged),
            Job(evaluation, self.target / "after-damage", lambda record: None, self.trained / "adapter"),
        ]
        found = answer(two, several, self.tokenizer)
        self.seen["refused"] = {job.folder.name: str(problem) for job, problem in found}

    def too_long(self) -> None:
        """A context beyond the model's."""
        try:
            open_engine(tiny_inference(engine="vllm", max_model_len=100_000), self.model)
            self.seen["sentence"] = ""
        except UserError as error:
            self.seen["sentence"] = str(error)


def main(trained: str, target: str) -> None:
    child = Child(trained, target)
    for part in (child.full_model, child.sampled, child.searched, child.adapters, child.too_long):
        part()
    Path(target, "seen.json").write_text(json.dumps(child.seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
