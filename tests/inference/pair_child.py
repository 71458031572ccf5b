"""Pairs answered by vLLM in a process of its own: `python -m tests.inference.pair_child TARGET MODEL ...`.

One engine answers by all models in turn, and by the first once more."""

import sys
from collections.abc import Sequence
from pathlib import Path

from core.inference.engines import open_engine
from core.inference.predict import predict
from core.inference.prediction_parts import Evaluation
from core.prompts.encoders import GridEncoding
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import load_tokenizer
from tests.inference.conftest import tiny_inference
from tests.training.tiny import copy_task

PAIR = PromptSettings(template="pair", encoding=GridEncoding(canvas=4))
TASKS = [copy_task(number) for number in range(3)]


def pairs_by(engine: str, models: Sequence[str], target: Path) -> None:
    """Ask models about eight views of each task with one engine, freely and for grids alone; predictions go
    to `0/plain`, `0/grids`, `1/plain`, … of the target."""
    free = tiny_inference(engine=engine, attempts=8, max_model_len=64, views={"colours": "none"})
    opened = open_engine(free, models[0])
    for number, model in enumerate(models):
        assert number == 0 or opened.load(model)
        tokenizer = load_tokenizer(model)
        for name, settings in (("plain", free), ("grids", free.model_copy(update={"only_grids": True}))):
            evaluation = Evaluation("trial", "pairs", 0, 0, TASKS, settings, PAIR)
            predict(evaluation, opened, tokenizer, target / str(number) / name, lambda record: None)


if __name__ == "__main__":
    pairs_by("vllm", [*sys.argv[2:], sys.argv[2]], Path(sys.argv[1]))
