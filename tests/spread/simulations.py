"""Scores with a known structure: tasks crossed with trainings, evaluations within trainings."""

import numpy as np
from hypothesis import settings
from numpy.typing import ArrayLike, NDArray

from core.seeds import generator

unhurried = settings(max_examples=60)
"""For property tests on a busy machine."""


def by_run(cells: ArrayLike) -> NDArray[np.float64]:
    """`cells[task][training][evaluation]`, as published tables have them, as runs → evaluations → tasks."""
    return np.asarray(cells, dtype=np.float64).transpose(1, 2, 0)


def crossed_scores(
    name: str,
    repeats: int,
    runs: int,
    tasks: int,
    evaluations: int = 1,
    sd_task: float = 1.0,
    sd_training: float = 0.3,
    sd_interplay: float = 1.0,
    sd_evaluation: float = 0.0,
    sd_residual: float = 0.5,
) -> NDArray[np.float64]:
    """Normal scores of mean 0, shape (repeats, runs, evaluations, tasks)."""
    rng = generator(0, "simulated scores", name)
    task = sd_task * rng.normal(size=(repeats, 1, 1, tasks))
    training = sd_training * rng.normal(size=(repeats, runs, 1, 1))
    interplay = sd_interplay * rng.normal(size=(repeats, runs, 1, tasks))
    evaluation = sd_evaluation * rng.normal(size=(repeats, runs, evaluations, 1))
    return (
        task
        + training
        + interplay
        + evaluation
        + sd_residual * rng.normal(size=(repeats, runs, evaluations, tasks))
    )
