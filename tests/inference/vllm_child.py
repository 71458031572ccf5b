"""Evaluations by vLLM in a process of their own: `python -m tests.inference.vllm_child TRAINED TARGET`.

Starts one engine for the full model and one with the adapter. The first makes the evaluations
`full-1`, `full-2` and `full-1-again`; the second `adapter-1`. Says what the engine did to global seeds.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
import torch

from core.errors import UserError
from core.inference.engines import VllmEngine, open_engine
from core.inference.predict import predict
from core.prompts.vocabulary import load_tokenizer
from tests.inference.conftest import evaluation_of, tiny_inference
from tests.training.tiny import copy_task

TASKS = [copy_task(number, tests=2 if number == 0 else 1) for number in range(6)]
SETTINGS = tiny_inference(engine="vllm")


def draws() -> list[float]:
    """The next draw of each global generator."""
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002


def main(trained: str, target: str) -> None:
    model = str(Path(trained, "model"))
    tokenizer = load_tokenizer(model)

    def ask(engine: VllmEngine, name: str, eval_seed: int, **changes: object) -> None:
        evaluation = evaluation_of(TASKS, eval_seed, engine="vllm", **changes)
        predict(evaluation, engine, tokenizer, Path(target, name), lambda record: None)

    engine = open_engine(SETTINGS, model, None)
    after_start = draws()
    assert isinstance(engine, VllmEngine)
    ask(engine, "full-1", 1)
    ask(engine, "full-2", 2)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    ask(engine, "full-1-again", 1)
    ask(engine, "short", 1, max_output_tokens=1)
    hot = open_engine(tiny_inference(engine="vllm", temperature=1.0), model, None)
    again = draws()
    ask(hot, "hot-1", 1)
    ask(hot, "hot-2", 2)
    ask(hot, "hot-1-again", 1)
    ask(open_engine(SETTINGS, model, Path(trained, "adapter")), "adapter-1", 1)
    try:
        open_engine(tiny_inference(engine="vllm", max_model_len=100_000), model, None)
        sentence = ""
    except UserError as error:
        sentence = str(error)
    Path(target, "seen.json").write_text(
        json.dumps({"version": engine.version, "same_draws": after_start == again, "sentence": sentence})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
