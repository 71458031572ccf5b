"""Which flags turn a task around: the latest judgement, what most people say, or what all say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from core.curation.flags import REVERSIBLE, all_flags, latest_by_person
from core.curation.source_names import REVERSED
from core.errors import UserError
from core.settings import Settings, nearest

RULES = {
    "latest": "the latest judgement is yes",
    "majority": "more people say yes than say no or unsure",
    "unanimous": "everybody who judged it says yes",
}


@dataclass(frozen=True)
class FlagRule:
    """One of `RULES`, over the latest judgement of each person of `by`; of everybody where that is empty."""

    rule: str = "latest"
    by: tuple[str, ...] = ()


class FlaggedSource(Settings):
    """A source that is trained on or evaluated, and which flags make it where it is a reversed one."""

    source: str
    flag_rule: Literal["latest", "majority", "unanimous"] = Field(
        default="latest",
        description="Which flags make a reversed: source: the latest judgement of a task, the majority, or"
        " what all say who judged it. The tasks are frozen at the launch.",
    )
    flags_by: tuple[str, ...] = Field(
        default=(), description="Whose flags make a reversed: source; everybody's if empty."
    )

    @model_validator(mode="after")
    def _flags_turn_tasks(self) -> Self:
        if self.rule != FlagRule() and not self.source.startswith(REVERSED):
            raise ValueError(
                f"flag_rule and flags_by choose the tasks of a {REVERSED} source. Leave them out of"
                f" '{self.source}'"
            )
        return self

    @property
    def rule(self) -> FlagRule:
        """Which flags make its tasks, if it is a reversed source."""
        return FlagRule(self.flag_rule, self.flags_by)


def flagged(root: Path, source: str, rule: FlagRule) -> list[str]:
    """The ids of the tasks of a stored source that a rule takes to be reversible, sorted.

    What a person withdrew does not count. Raises `UserError` for a person who flagged nothing.
    """
    if rule.by:
        _check(rule.by, sorted({mark["by"] for mark in all_flags(root) if mark["flag"] == REVERSIBLE}))
    taken = []
    for marks in latest_by_person(root, source):
        said = [mark["value"] for mark in marks if not rule.by or mark["by"] in rule.by]
        if said and _holds(said, rule.rule):
            taken.append(marks[0]["task_id"])
    return taken


def _holds(said: Sequence[str], rule: str) -> bool:
    """Whether a rule takes a task to be reversible, by the latest value of each person, in order of time."""
    yes = said.count("yes")
    if rule == "latest":
        return said[-1] == "yes"
    return 2 * yes > len(said) if rule == "majority" else yes == len(said)


def _check(people: Sequence[str], known: Sequence[str]) -> None:
    for name in people:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean '{near}'?" if near else f"These did: {', '.join(known) or 'nobody'}."
            raise UserError(f"'{name}' has flagged no task. {hint}")
