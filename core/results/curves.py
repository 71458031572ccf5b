"""What more attempts would have brought, and which tasks are solved sometimes.

In come scores (and, for votes, the predictions behind them); out come curves over the number of attempts
with their spread over runs, and a table runs × tasks of right attempts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.results.experiment import experiment_folder
from core.results.loading import Floats, Scores
from core.spread.budgets import expected_vote_curve, pass_k_curve
from core.spread.intervals import summarize
from core.spread.metrics import task_values
from core.spread.scopes import run_means
from core.storage.queries import parquet, query
from core.storage.schemas import PREDICTIONS

_VOTES = """
SELECT filename, source, task_id, test_index, list(votes) AS votes
FROM (
    SELECT filename, source, task_id, test_index, count(*) AS votes
    FROM {predictions} WHERE output_cells IS NOT NULL
    GROUP BY filename, source, task_id, test_index, output_cells, output_h, output_w
)
GROUP BY filename, source, task_id, test_index
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
    attempts, correct = scores.columns["attempts"], scores.columns["correct"]
    pairs, which = np.unique(np.stack([attempts.ravel(), correct.ravel()]), axis=1, return_inverse=True)
    # Few different counts among many outputs: each curve is computed once.
    known = np.where(pairs[0][:, None] == 0, 0.0, pass_k_curve(pairs[0], pairs[1], ks))
    values = known[which.reshape(attempts.shape)]
    return _curve_records(scores, values, ks, aggregation)


def vote_curves(root: Path, scores: Scores, k: int, aggregation: str = "by_task") -> list[dict[str, Any]]:
    """Expected vote_k over the number of attempts: variant, k (attempts), mean, std, n; std over runs.

    Counts the votes in the predictions of every evaluation. Raises `UserError` where some are gone.
    """
    ks = budgets_up_to(scores.attempts)
    values = np.zeros((len(scores.evaluations), len(scores.outputs), len(ks)))
    number = {output: place for place, output in enumerate(scores.outputs)}
    attempts, correct = scores.columns["attempts"], scores.columns["correct"]
    paths = _prediction_paths(root, scores)
    table = query(_VOTES.format(predictions=parquet(paths, PREDICTIONS)))
    place_of = {str(path): place for place, path in enumerate(paths)}
    for record in table.to_pylist():
        evaluation = place_of[record["filename"]]
        output = number.get((record["source"], record["task_id"], record["test_index"]))
        if output is None or correct[evaluation, output] == 0:
            continue
        right = int(correct[evaluation, output])
        others = sorted(record["votes"])
        others.remove(right)
        values[evaluation, output] = expected_vote_curve(
            int(attempts[evaluation, output]), right, others, k, ks
        )
    return _curve_records(scores, values, ks, aggregation)


def curve_records(
    root: Path, scores: Scores, kind: str, aggregation: str = "by_task"
) -> list[dict[str, Any]]:
    """The curve of a kind that `SENTENCES` names: variant, k, mean, std, n."""
    if kind == "pass_k":
        return pass_curves(scores, aggregation)
    return vote_curves(root, scores, int(kind.removeprefix("vote_")), aggregation)


def _prediction_paths(root: Path, scores: Scores) -> list[Path]:
    folder = experiment_folder(root, scores.experiment.name)
    paths = [
        folder / one.variant / f"train-{one.train_seed}" / f"eval-{one.eval_seed}" / "predictions.parquet"
        for one in scores.evaluations
    ]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} is gone, so votes can't be counted. Launch the experiment again.")
    return paths


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

    Tasks come most solved first; evaluations of a run and outputs of a task are added up.
    """

    runs: tuple[tuple[str, int], ...]
    tasks: tuple[tuple[str, str], ...]
    right: npt.NDArray[np.int64]
    attempts: npt.NDArray[np.int64]

    @property
    def share(self) -> Floats:
        """Share of right attempts; NaN where none was made."""
        made = np.where(self.attempts == 0, np.nan, self.attempts)
        return np.asarray(self.right / made)

    @property
    def kinds(self) -> tuple[int, int, int]:
        """How many tasks were never, sometimes and always solved, over all runs."""
        right, made = self.right.sum(axis=0), self.attempts.sum(axis=0)
        never, always = int((right == 0).sum()), int(((right == made) & (made > 0)).sum())
        return never, right.size - never - always, always


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
    return Solved(tuple(owners), tasks, right[:, order], made[:, order])
