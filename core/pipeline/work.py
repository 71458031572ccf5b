"""What a kind of work is made of: the work of each stage, and which runs a stage serves together."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.runs.done import Stage
from core.runs.layout import Run
from core.runs.reporter import Reporter

Reporting = Sequence[tuple[Run, Reporter]]
StageWork = Callable[[LaunchedExperiment, Reporting], Iterator[tuple[Run, UserError | None]]]
"""Does what is missing of a stage of runs. Yields each run when it is done, or with the problem that keeps it
from it; what it raises concerns all runs that have not been yielded."""
Grouping = Callable[[Iterable[Run], LaunchedExperiment], list[list[Run]]]


def all_together(runs: Iterable[Run], _: LaunchedExperiment) -> list[list[Run]]:
    """One group of all runs."""
    return [list(runs)]


Progress = Callable[[str, int, int | None], None]


def no_repeat(_experiment: LaunchedExperiment, _runs: Sequence[Run]) -> None:
    """What work without models does where a sample is to be answered again."""


def no_rescore(
    _experiment: LaunchedExperiment, _runs: Sequence[Run], _views: int, _most: int, _progress: Progress
) -> None:
    """What work without models does where answers are to be rescored."""


@dataclass(frozen=True)
class Work:
    """One kind of work: what each stage does, which runs one process of a stage can serve together (a stage
    that is not named takes one run after another), and how runs of one engine are repeated or rescored."""

    name: str
    stages: Mapping[Stage, StageWork]
    together: Mapping[Stage, Grouping] = field(default_factory=dict)
    repeat: Callable[[LaunchedExperiment, Sequence[Run]], None] = no_repeat
    rescore: Callable[[LaunchedExperiment, Sequence[Run], int, int, Progress], None] = no_rescore


def one_by_one(work: Callable[[LaunchedExperiment, Run, Reporter], None]) -> StageWork:
    """The work of a stage that takes one run after another."""

    def each(experiment: LaunchedExperiment, runs: Reporting) -> Iterator[tuple[Run, UserError | None]]:
        for run, report in runs:
            work(experiment, run, report)
            yield run, None

    return each
