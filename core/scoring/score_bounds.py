"""What holds of every row of scores, so that no file from elsewhere, and no damaged one without its seal,
becomes a number that nobody questions."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-6
COUNTS = ("correct", "right_size", "unanswered", "distinct", "votes_above", "votes_tied", "vote_rank")
"""Columns that count some of the attempts, or of the answers in them."""


def broken_row(columns: Mapping[str, Floats]) -> tuple[int, str] | None:
    """The first row that can't be true, and why; None where all can be. Each column has shape (rows,), NaN
    where a row says nothing: every one is counted, so none may lack."""
    attempts = columns["attempts"]
    checks = [("attempts is no count", ~_is_count(attempts))]
    for name in COUNTS:
        values = columns[name]
        checks.append((f"{name} is unknown", np.isnan(values)))
        checks.append((f"{name} is no count", ~_is_count(values)))
        checks.append((f"{name} is more than attempts", values > attempts))
    for name, most in (("pixels_sum", attempts), ("pixels_max", np.ones(len(attempts)))):
        values = columns[name]
        checks.append((f"{name} is unknown", np.isnan(values)))
        checks.append((f"{name} is out of range", (values < 0) | (values > most + _ROUNDING)))
    for reason, broken in checks:
        if broken.any():
            return int(broken.argmax()), f"in a row {reason}"
    return None


def _is_count(values: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values) & (values >= 0) & (values == np.floor(values)))
