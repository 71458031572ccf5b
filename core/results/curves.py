"""What more attempts would have brought, and which tasks are solved sometimes.

In come scores; out come curves over the number of attempts
with their spread over runs, and a table runs × tasks of right attempts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.experiments.experiment import known_folder
from core.results.loading import Floats, Scores, file_places, outputs_of
from core.runs.layout import Run
from core.scoring.attempt_budgets import pass_k_curve
from core.scoring.metrics import check_for_search, task_values
from core.scoring.vote_curves import expected_vote_curves
from core.spread.intervals import summarize
from core.spread.scopes import run_means
from core.storage.queries import parquet, query
from core.storage.schemas import SCORES

_VOTES = """
SELECT filename, source, task_id, test_index, votes,
       dense_rank() OVER (ORDER BY source, task_id, test_index) - 1 AS output
FROM {scores} WHERE correct > 0
"""

SENTENCES = {
    "pass_k": "Chance that at least one of so many attempts is right; band: ± std over runs.",
    "vote_1": "Chance that the most voted answer is right; ties at random; band: ± std over runs.",
    "vote_2": "Chance that one of the two most voted answers is right; band: ± std over runs.",
}
"""The curves that are drawn, and what each says."""


def budgets_up_to(attempts: int) -> list[int]:
    """Numbers of attempts to draw a curve at: all up to 8, then doubling, and the last."""
    doubling = [2**power for power in range(4, 13) if 2**power < attempts]
    return sorted({*range(1, min(attempts, 8) + 1), *doubling, *([attempts] if attempts else [])})


def pass_curves(scores: Scores, aggregation: str = "by_task") -> list[dict[str, Any]]:
    """pass_k over k: variant, k, mean, std, n; std over runs. Empty for results from elsewhere."""
    ks = budgets_up_to(scores.attempts)
    if not ks:
        return []
    if scores.experiment.search:
        check_for_search("pass_1")
    attempts, correct = (scores.columns[name].astype(np.int64) for name in ("attempts", "correct"))
    # Few different counts among many outputs: each curve is computed once.
    width = int(correct.max(initial=0)) + 1
    counts, which = np.unique(attempts.ravel() * width + correct.ravel(), return_inverse=True)
    made, right = np.divmod(counts, width)
    known = np.where(made[:, None] == 0, 0.0, pass_k_curve(made, right, ks))
    values = known[which.reshape(attempts.shape)]
    return _curve_records(scores, values, ks, aggregation)


def vote_curves(root: Path, scores: Scores, k: int, aggregation: str = "by_task") -> list[dict[str, Any]]:
    """Expected vote_k over the number of attempts: variant, k (attempts), mean, std, n; std over runs.

    From the votes of every distinct answer in the scores. Raises `UserError` where a file has none, as those
    scored before votes were kept.
    """
    if scores.experiment.search:
        check_for_search(f"vote_{k}")
    ks = budgets_up_to(scores.attempts)
    right = scores.columns["correct"].astype(np.int64)
    rivals = _rivals(root, scores, right)
    made = scores.columns["attempts"].astype(np.int64)
    flat = expected_vote_curves(made.ravel(), right.ravel(), rivals, k, ks)
    flat[made.ravel() == 0] = 0.0
    return _curve_records(scores, flat.reshape(*right.shape, len(ks)), ks, aggregation)


def _rivals(root: Path, scores: Scores, right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each output of each evaluation how many wrong answers got so many votes: (outputs, votes).

    Outputs that nobody got right are left empty: no curve rises for them.
    """
    paths = _score_paths(root, scores)
    try:
        table = query(_VOTES.format(scores=parquet(paths, SCORES)))
    except UserError as problem:
        if not isinstance(problem.__cause__, duckdb.BinderException):
            raise
        table = None
    if table is None or table.column("votes").null_count:
        raise UserError(
            f"The scores of '{scores.experiment.name}' were made before votes were kept. Delete their"
            " scores.parquet and launch the experiment again: only the scoring is repeated."
        )
    number = {output: place for place, output in enumerate(scores.outputs)}
    outputs, of = outputs_of(table)
    places = np.array([number[output] for output in outputs], dtype=np.int64)
    rows = file_places(table, paths) * len(number) + places[of]
    lists = table.column("votes").combine_chunks()
    # `to_numpy` would import pandas, which nothing else here needs.
    lengths: npt.NDArray[Any] = np.from_dlpack(lists.value_lengths())
    row, votes = np.repeat(rows, lengths), np.from_dlpack(lists.flatten())
    width = int(votes.max(initial=0)) + 1
    counted = np.bincount(row * width + votes, minlength=right.size * width).reshape(-1, width)
    solved = np.flatnonzero(right.ravel())
    counted[solved, right.ravel()[solved]] -= 1  # the truth is no rival of its own
    return counted


def curve_records(
    root: Path, scores: Scores, kind: str, aggregation: str = "by_task"
) -> list[dict[str, Any]]:
    """The curve of a kind that `SENTENCES` names: variant, k, mean, std, n."""
    if kind == "pass_k":
        return pass_curves(scores, aggregation)
    return vote_curves(root, scores, int(kind.removeprefix("vote_")), aggregation)


def _score_paths(root: Path, scores: Scores) -> list[Path]:
    name = scores.experiment.name
    known_folder(root, name)
    return [Run(root, name, one.variant, one.train_seed).scores(one.eval_seed) for one in scores.evaluations]


def _curve_records(
    scores: Scores, values: Floats, ks: Sequence[int], aggregation: str
) -> list[dict[str, Any]]:
    """From values (evaluations, outputs, ks), mean and std over runs at each k."""
    how = "all_outputs" if aggregation == "all_outputs" else "by_task"
    turned = np.moveaxis(values, 2, 0)
    if aggregation == "by_output":
        per_evaluation = turned.mean(axis=2)
    else:
        per_evaluation = task_values(turned, scores.task_index, how).mean(axis=2)
    records = []
    for variant, runs in scores.runs.items():
        for place, k in enumerate(ks):
            means = run_means([per_evaluation[place][places] for places in runs.values()])
            summary = summarize(means)
            if summary.n:
                records.append(
                    {
                        "variant": variant,
                        "k": k,
                        "mean": summary.mean,
                        "std": summary.std,
                        "n": summary.n,
                    }
                )
    return records


@dataclass(frozen=True)
class Solved:
    """Right attempts, by run and task: `right` and `attempts` have shape (runs, tasks).

    `always` (tasks,) says whether every attempt at every output was right, and no output lacked attempts.

    Tasks come most solved first; evaluations of a run and outputs of a task are added up.
    """

    runs: tuple[tuple[str, int], ...]
    tasks: tuple[tuple[str, str], ...]
    right: npt.NDArray[np.int64]
    attempts: npt.NDArray[np.int64]
    always: npt.NDArray[np.bool_]

    @property
    def share(self) -> Floats:
        """Share of right attempts; NaN where none was made."""
        made = np.where(self.attempts == 0, np.nan, self.attempts)
        return np.asarray(self.right / made)

    @property
    def kinds(self) -> tuple[int, int, int]:
        """How many tasks were never, sometimes and always solved, over all runs."""
        never, always = int((self.right.sum(axis=0) == 0).sum()), int(self.always.sum())
        return never, self.always.size - never - always, always


def solved(scores: Scores) -> Solved:
    """Which run solved which task how often, variants in the order of the spec."""
    owners, groups = [], []
    for variant, runs in scores.runs.items():
        for seed, places in runs.items():
            owners.append((variant, seed))
            groups.append(places)
    sums = []
    for name in ("correct", "attempts"):
        by_output = np.array([scores.columns[name][places].sum(axis=0) for places in groups])
        by_task = np.zeros((len(groups), len(scores.tasks)))
        np.add.at(by_task.T, scores.task_index, by_output.T)
        sums.append(by_task.astype(np.int64))
    right, made = sums
    order = np.argsort(-right.sum(axis=0) / np.maximum(made.sum(axis=0), 1), kind="stable")
    tasks = tuple(scores.tasks[place] for place in order.tolist())
    whole = (
        (scores.columns["correct"] == scores.columns["attempts"]) & (scores.columns["attempts"] > 0)
    ).all(axis=0)
    always = np.bincount(scores.task_index, weights=~whole, minlength=len(scores.tasks)) == 0
    return Solved(tuple(owners), tasks, right[:, order], made[:, order], always[order])
