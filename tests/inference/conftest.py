"""A trained model and small evaluations for the tests of this room."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from core.arc.tasks import Task
from core.errors import UserError
from core.inference.prediction_parts import Evaluation
from core.inference.requests import Completion, Request
from core.inference.settings import InferenceSettings
from core.mixing.mixtures import Augmentation
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import VOCABULARY
from core.settings import validated
from tests.made_once import made_once
from tests.training.conftest import model_folder, one_thread  # noqa: F401 - fixtures
from tests.training.tiny import copy_task

Row = dict[str, Any]


def tiny_inference(**changes: Any) -> InferenceSettings:
    values = {"engine": "transformers", "attempts": 4, "max_model_len": 128, "kv_cache_gigabytes": 0.05}
    return validated(InferenceSettings, values | changes, "inference")


def evaluation_of(tasks: Sequence[Task], eval_seed: int = 0, **changes: Any) -> Evaluation:
    return Evaluation("trial", "plain", 0, eval_seed, tasks, tiny_inference(**changes), PromptSettings())


def rows_in(folder: Path) -> list[Row]:
    rows: list[Row] = pq.read_table(folder / "predictions.parquet").to_pylist()
    return rows


class CopyingEngine:
    """Answers each prompt with the grid that it ends with, last prompt first; gives up after `most`."""

    name, version, dtype = "copying", "1", "float32"

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.asked: list[Request] = []

    def prepare(self, adapter: Path) -> None:
        if not adapter.exists():
            raise UserError(f"The adapter of '{adapter}' can't be loaded.")

    def load(self, model: str) -> bool:
        return False

    def close(self) -> None:
        pass

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        drawn = list(requests)
        self.asked.extend(drawn)
        for count, (index, request) in enumerate(reversed(list(enumerate(drawn)))):
            if count == self.most:
                raise KeyboardInterrupt
            prompt = "".join(VOCABULARY[token] for token in request.tokens)
            text = prompt[prompt.rindex("I") + 1 : prompt.rindex("O")].strip()
            yield Completion(index, text, len(text) + 1, "stop", -0.5)


@pytest.fixture(scope="session")
def tasks() -> list[Task]:
    """Four tasks; the first has two tests."""
    return [copy_task(number, tests=2 if number == 0 else 1) for number in range(4)]


@pytest.fixture(scope="session")
def trained(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A folder with `model/` (fully trained for some seconds) and `adapter/`, `adapter-1/` and `adapter-2/`
    (on top of it, of different ranks and seeds).

    Without symmetries and colours so small a model soon gives each prompt an answer of its own.
    """
    from core.training.train import Training, train
    from tests.training.conftest import tiny_settings, toy_mixture

    mixture = toy_mixture(augmentation=Augmentation(symmetries=False, colours="none"))
    common = {"samples_per_step": 16, "steps": 200, "checkpoint_every": 1000, "learning_rate": 1e-2}

    def make(folder: Path) -> None:
        full = tiny_settings(method="full", **common)
        start = Training(full, PromptSettings(), mixture, str(model_folder), 0)
        base = train(start, folder, lambda record: None)
        for seed, rank in ((2, 4), (1, 20), (0, 12)):
            lora = tiny_settings(method="lora", **(common | {"steps": 30, "lora": {"rank": rank}}))
            onto = Training(lora, PromptSettings(), mixture, str(base), seed)
            made = train(onto, folder, lambda record: None)
            if seed:
                made.rename(folder / f"adapter-{seed}")

    return made_once(tmp_path_factory, "trained", make)
