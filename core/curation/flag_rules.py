"""Which flags turn a task around: the latest judgement, what most people say, or what all say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.curation.flags import REVERSIBLE, all_flags
from core.errors import UserError
from core.settings import nearest

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


def flagged(root: Path, source: str, rule: FlagRule) -> list[str]:
    """The ids of the tasks of a stored source that a rule takes to be reversible, sorted.

    What a person withdrew does not count; by "latest" it withdraws the flag. Raises `UserError` for a person
    who flagged nothing.
    """
    every = [mark for mark in all_flags(root) if mark["flag"] == REVERSIBLE]
    _check(rule.by, sorted({mark["by"] for mark in every}))
    latest: dict[str, dict[str, str]] = {}
    for mark in every:
        if mark["source"] == source and (not rule.by or mark["by"] in rule.by):
            of_task = latest.setdefault(mark["task_id"], {})
            of_task.pop(mark["by"], None)  # the latest judgement comes last
            of_task[mark["by"]] = mark["value"]
    return sorted(task_id for task_id, values in latest.items() if _holds(list(values.values()), rule.rule))


def _holds(values: Sequence[str], rule: str) -> bool:
    """Whether a rule takes a task to be reversible, by the latest value of each person, in order of time."""
    if rule == "latest":
        return values[-1] == "yes"
    said = [value for value in values if value != "none"]
    yes = said.count("yes")
    return 2 * yes > len(said) if rule == "majority" else 0 < yes == len(said)


def _check(people: Sequence[str], known: Sequence[str]) -> None:
    for name in people:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean '{near}'?" if near else f"These did: {', '.join(known) or 'nobody'}."
            raise UserError(f"'{name}' has flagged no task. {hint}")
