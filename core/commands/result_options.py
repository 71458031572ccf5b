"""What verbs about results share: their options, and the scores that these name."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from core.commands.printing import print_leaks
from core.errors import UserError

if TYPE_CHECKING:
    from core.results.loading import Scores


class ShowFirst(TyperGroup):
    """A group whose first verb may be left out: `results demo` is `results show demo`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What typer makes of the arguments, with `show` before them where no verb stands."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


class Scope(StrEnum):
    """Over what a spread generalises."""

    checkpoint = "checkpoint"
    recipe = "recipe"
    new_tasks = "new_tasks"


class By(StrEnum):
    """How the evaluated tasks are parted."""

    source = "source"
    concept = "concept"
    size = "size"


class Aggregation(StrEnum):
    """How outputs become one number."""

    by_task = "by_task"
    by_output = "by_output"
    all_outputs = "all_outputs"


Metrics = Annotated[
    list[str] | None, typer.Option("--metric", help="A metric such as vote_2; repeat for more.")
]
Form = Annotated[Aggregation, typer.Option(help="How the outputs of a task are counted.")]


def _level(value: float) -> float:
    if not 0.5 <= value <= 0.9999:  # also what is no number
        raise UserError(f"--level {value:g} is no level of an interval. Give one from 0.5 to 0.9999.")
    return value


Level = Annotated[float, typer.Option(help="Level of the intervals, 0.5 to 0.9999.", callback=_level)]
NoiseOf = Annotated[
    str | None,
    typer.Option(help="Judge with the noise between the runs of this experiment, as single runs have none."),
]
Beside = Annotated[
    str | None,
    typer.Option(
        "--with",
        help="Judge the variants of this experiment in the same table, where it was evaluated alike.",
    ),
]
Baseline = Annotated[
    str | None, typer.Option(help="Variant to hold the others against, in place of the spec's.")
]
Parted = Annotated[By | None, typer.Option(help="Results of each source, concept or size of tasks apart.")]


def scores_of(root: Path, experiment: str, beside: str | None = None) -> "Scores":
    """The scores of an experiment, and those of another one beside them."""
    from core.results.joint import joined
    from core.results.loading import load_scores
    from core.results.run_values import with_evaluations

    scores = with_evaluations(load_scores(root, experiment))
    print_leaks(root, experiment, noted=True)
    if beside is not None:
        scores = joined(root, scores, load_scores(root, beside))
        print_leaks(root, beside)
    return scores


BETWEEN_TRAININGS = "noise is lent between trainings, to whole tables"


def refuse_beside(option: str, value: Any, others: Mapping[str, Any], reason: str) -> None:
    """Raise `UserError` where an option stands beside others that would have no effect."""
    given = [name for name, other in others.items() if other]
    if value is not None and given:
        raise UserError(
            f"{option} can't stand beside {' and '.join(given)}: {reason}. Leave one of them out."
        )


def lender_of(root: Path, name: str | None) -> "Scores | None":
    """The experiment whose noise is borrowed."""
    from core.results.loading import load_scores

    return None if name is None else load_scores(root, name)
