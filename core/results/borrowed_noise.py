"""The noise of another experiment, to judge runs that have none of their own.

A single run per variant can be held against others with the std between runs that an earlier experiment
showed, if whoever reads it says so. In come two experiments' scores, out comes the noise of the one for a
metric of the other.
"""

from core.errors import UserError
from core.results.loading import Scores
from core.results.noise import pooled_between_runs
from core.results.tables import measured
from core.spread.variances import BorrowedNoise


def borrowed_noise(
    scores: Scores, lender: Scores, metric: str, aggregation: str = "by_task"
) -> BorrowedNoise:
    """The variance between runs of another experiment (or of this one), pooled over its variants.

    It must have measured the metric on as many evaluations per run, so that its runs vary as these do. Raises
    `UserError` where it has not, where none of its variants has two runs, and where its runs are all equal.
    """
    name = lender.experiment.name
    counts = [
        {len(places) for runs in one.runs.values() for places in runs.values()} for one in (scores, lender)
    ]
    if lender.experiment.name != scores.experiment.name and min(counts[0], default=1) < min(
        counts[1], default=1
    ):
        raise UserError(
            f"The runs of '{name}' have more evaluations each than these, so they vary less. Borrow the"
            f" noise of"
            " an experiment with as many."
        )
    units = [one.unit(metric) for one in (scores, lender)]
    if units[0] != units[1]:
        raise UserError(
            f"{metric} of '{name}' has the unit '{units[1]}', and here '{units[0]}', so its noise can't be"
            " borrowed. Name another experiment."
        )
    found = pooled_between_runs(measured(lender, metric, aggregation))
    if found is None or not found.variance > 0:
        raise UserError(
            f"'{name}' tells nothing of the noise between trainings of {metric}: no variant has two runs with"
            " different scores. Name another experiment."
        )
    return BorrowedNoise(found.variance, found.freedom, name)
