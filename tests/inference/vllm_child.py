"""Evaluations by vLLM in a process of their own: `python -m tests.inference.vllm_child TRAINED TARGET`.

Starts one engine for the full model and one with the adapter. The first makes the evaluations
`full-1`, `full-2` and `full-1-again`; the second `adapter-1`. Says what the engine did to global seeds.
"""

import json
import random
import shutil
import sys
import weakref
from pathlib import Path

import numpy as np
import torch

from core.errors import UserError
from core.inference.engines import open_engine
from core.inference.predict import Job, answer, predict
from core.inference.rescore import rescore
from core.inference.vllm_engine import VllmEngine
from core.prompts.vocabulary import load_tokenizer
from tests.inference.conftest import evaluation_of, tiny_inference
from tests.training.tiny import copy_task

TASKS = [copy_task(number, tests=2 if number == 0 else 1) for number in range(6)]
ADAPTERS = ("adapter", "adapter-1", "adapter-2")
SETTINGS = tiny_inference(engine="vllm")


def draws() -> list[float]:
    """The next draw of each global generator."""
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002


def _model_of(engine: VllmEngine) -> torch.nn.Module:
    worker = engine.library.llm_engine.engine_core.engine_core.model_executor.driver_worker
    model: torch.nn.Module = worker.get_model()
    return model


def main(trained: str, target: str) -> None:
    model = str(Path(trained, "model"))
    tokenizer = load_tokenizer(model)

    def ask(engine: VllmEngine, name: str, eval_seed: int, **changes: object) -> None:
        evaluation = evaluation_of(TASKS, eval_seed, engine="vllm", **changes)
        predict(evaluation, engine, tokenizer, Path(target, name), lambda record: None)

    engine = open_engine(SETTINGS, model)
    after_start = draws()
    assert isinstance(engine, VllmEngine)
    ask(engine, "full-1", 1)
    ask(engine, "full-2", 2)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    ask(engine, "full-1-again", 1)
    ask(engine, "short", 1, max_output_tokens=1)
    shutil.copytree(Path(target, "full-1"), Path(target, "rescored"))
    rescore(
        evaluation_of(TASKS, 1, engine="vllm"),
        engine,
        tokenizer,
        Path(target, "rescored"),
        lambda record: None,
    )
    ask(engine, "only-grids", 1, only_grids=True, max_output_tokens=40)
    weights = weakref.ref(next(iter(_model_of(engine).parameters())))
    version, dtype = engine.version, engine.dtype
    engine.close()
    freed = weights() is None
    hot = open_engine(tiny_inference(engine="vllm", temperature=2.0, max_concurrent=512), model)
    again = draws()
    ask(hot, "hot-1", 1)
    ask(hot, "hot-2", 2)
    ask(hot, "hot-1-again", 1)
    ask(hot, "hot-crowd", 1, attempts=16, temperature=2.0, max_output_tokens=2)
    several = open_engine(SETTINGS, model, [Path(trained, name) for name in ADAPTERS])
    jobs = [
        Job(evaluation_of(TASKS, 1, engine="vllm"), Path(target, name), lambda record: None, adapter)
        for name, adapter in [(f"{name}-at-once", Path(trained, name)) for name in ADAPTERS]
        + [("base-at-once", None)]
    ]
    ended = [(job.folder.name, problem) for job, problem in answer(jobs, several, tokenizer)]
    assert sorted(ended) == sorted((job.folder.name, None) for job in jobs), ended
    damaged = Path(target, "damaged")
    shutil.copytree(Path(trained, "adapter"), damaged)
    (damaged / "adapter_model.safetensors").write_bytes(b"junk" * 100)
    several._numbers[damaged] = 9
    evaluation = evaluation_of(TASKS, 1, engine="vllm")
    two = [
        Job(evaluation, Path(target, "never"), lambda record: None, damaged),
        Job(evaluation, Path(target, "after-damage"), lambda record: None, Path(trained, "adapter")),
    ]
    refused = {job.folder.name: str(problem) for job, problem in answer(two, several, tokenizer)}
    try:
        open_engine(tiny_inference(engine="vllm", max_model_len=100_000), model)
        sentence = ""
    except UserError as error:
        sentence = str(error)
    Path(target, "seen.json").write_text(
        json.dumps(
            {
                "version": version,
                "dtype": dtype,
                "freed": freed,
                "same_draws": after_start == again,
                "sentence": sentence,
                "refused": refused,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
