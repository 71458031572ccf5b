"""Outputs become one number, by the definition, beside what the tables compute."""

import numpy as np
from numpy.typing import ArrayLike

from core.scoring.metrics import Floats, task_values


def aggregate(values: ArrayLike, task_index: ArrayLike, how: str = "by_task") -> Floats:
    """One number per evaluation, shape (...), from values of shape (..., outputs).

    `by_task` (mean over a task's outputs, then over tasks), `by_output` (flat mean) or `all_outputs` (see
    `task_values`). The denominator is every task in `task_index`: give tasks without predictions a row
    of 0 attempts. Without outputs the answer is NaN.
    """
    array = np.asarray(values, dtype=np.float64)
    if how != "by_output":
        array = task_values(array, task_index, how)
    if array.shape[-1] == 0:
        return np.full(array.shape[:-1], np.nan)
    return np.asarray(array.mean(axis=-1))
