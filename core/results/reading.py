"""How a table of results is read: what a person chose, the same for a verb, a page and a file.

In come choices, out comes what they mean for the scores of an experiment.
"""

from dataclasses import dataclass

from core.results.loading import Scores
from core.results.noise import borrowed_noise
from core.results.run_values import check_variants
from core.spread.judging_variance import BorrowedNoise


@dataclass(frozen=True)
class Reading:
    """The choices behind a table.

    `metrics` and `baseline` are the spec's where none are given; `lender` is the experiment whose noise
    between runs judges this one, at scope "recipe"; `level` is that of intervals and verdicts, 0.5 to 0.9999.
    """

    metrics: tuple[str, ...] = ()
    aggregation: str = "by_task"
    scope: str = "recipe"
    baseline: str | None = None
    lender: Scores | None = None
    level: float = 0.95

    @property
    def lender_name(self) -> str | None:
        """The name of the experiment whose noise judges; None where none is borrowed."""
        return None if self.lender is None else self.lender.experiment.name

    def metrics_of(self, scores: Scores) -> list[str]:
        """The metrics of the table, each once."""
        return list(dict.fromkeys(self.metrics or scores.experiment.metrics))

    def judged_metric(self, scores: Scores) -> str:
        """The metric that the verdicts beside the table are about: the first."""
        return self.metrics_of(scores)[0]

    def baseline_of(self, scores: Scores) -> str:
        """The variant that all others are held against. Raises `UserError` for an unknown one."""
        check_variants(scores, *filter(None, (self.baseline,)))
        return self.baseline or scores.experiment.baseline

    def borrowed(self, scores: Scores, metric: str) -> BorrowedNoise | None:
        """The noise that judges a metric in place of its own; None where none is borrowed. Raises `UserError`
        where the lender tells nothing of it."""
        return None if self.lender is None else borrowed_noise(scores, self.lender, metric, self.aggregation)


PLAIN = Reading()
"""Everything as the spec has it."""
