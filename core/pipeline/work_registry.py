"""Kinds of work by name. The record of a run (`work` in `run.json`) names its kind.

`real` trains, answers and scores. `pretended` reports steps and leaves files without content, for measuring
what queue and processes cost. Another kind is registered by whoever needs it, before its runs are launched.
"""

import os

from core.errors import UserError
from core.pipeline.pretended_work import PRETENDED_WORK
from core.pipeline.real_work import REAL_WORK
from core.pipeline.work import Work
from core.runs.layout import Run
from core.runs.run_record import read_record

VARIABLE = "ARC_WORKBENCH_WORK"
"""The environment variable that names the kind of work of what is launched; `real` without it."""


_KINDS = {work.name: work for work in (REAL_WORK, PRETENDED_WORK)}


def register_work(work: Work) -> Work:
    """Let runs name this kind of work."""
    _KINDS[work.name] = work
    return work


def work_named(name: str) -> Work:
    """The kind of work of that name. Raises `UserError` where this process knows none."""
    if name not in _KINDS:
        raise UserError(f"There is no kind of work '{name}'. Known: {', '.join(sorted(_KINDS))}.")
    return _KINDS[name]


def work_of(run: Run) -> Work:
    """The kind of work that a run was launched with. Raises `UserError` where its record can't be read."""
    return work_named(read_record(run).get("work") or REAL_WORK.name)


def wanted_work() -> str:
    """The kind of work that this process launches: what `VARIABLE` names, else real. Raises `UserError` for
    an unknown name."""
    return work_named(os.environ.get(VARIABLE, REAL_WORK.name)).name
