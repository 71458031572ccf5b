"""Tiny real things: a source of small tasks, a model of two layers, and a spec that trains in seconds."""

from pathlib import Path
from typing import Any

import numpy as np

from core.arc.tasks import Pair, Task, parse_task
from core.curation.stored import SourceInfo, store_source
from core.training.models import ModelShape, init_model

SHAPE = ModelShape(hidden_size=32, layers=2, heads=1, mlp_size=64, context=512)


def copy_task(number: int, source: str = "toy", *, tests: int = 1, demonstrations: int = 2) -> Task:
    """A task whose outputs equal its inputs: 2 × 3 grids, other ones for each number."""
    rng = np.random.default_rng(number)
    grids = [rng.integers(0, 10, (2, 3)).tolist() for _ in range(demonstrations + tests)]
    pairs = [{"input": grid, "output": grid} for grid in grids]
    record = {"train": pairs[:demonstrations], "test": pairs[demonstrations:]}
    return parse_task(record, task_id=f"{number:08x}", source=source)


def tiny_root(root: Path, *, tasks: int = 4, model: bool = True) -> Path:
    """A project with a source `toy`, whose first task has two tests, and a model `tiny`."""
    members = [copy_task(number, tests=2 if number == 0 else 1) for number in range(tasks)]
    store_source(root, SourceInfo("toy", "made up", "1", "none", "0"), members)
    if model:
        init_model(root / "data" / "models" / "tiny", SHAPE, 0)
    return root


def tiny_spec(**changes: Any) -> dict[str, Any]:
    """The plain data of a spec of one variant, one training and two evaluations, by transformers."""
    return {
        "name": "trial",
        "baseline": "plain",
        "allow_leaks": True,
        "train_seeds": [0],
        "eval_seeds": [0, 1],
        "evaluation": {
            "sources": [{"source": "toy"}],
            "inference": {"engine": "transformers", "attempts": 3, "max_model_len": 128},
        },
        "recipe": {
            "base_model": "tiny",
            "mixture": {"sources": [{"source": "toy"}]},
            "training": {
                "steps": 6,
                "samples_per_step": 4,
                "max_seq_len": 128,
                "checkpoint_every": 2,
                "lora": {"rank": 4},
            },
        },
        "variants": {"plain": None},
        **changes,
    }


def random_task(task_id: str, source: str, seed: int) -> Task:
    draw = np.random.default_rng(seed).integers
    pairs = tuple(Pair(*draw(0, 10, (2, 3, 4), dtype=np.uint8)) for _ in range(3))
    return Task(task_id, source, task_id, pairs[:2], pairs[2:])
