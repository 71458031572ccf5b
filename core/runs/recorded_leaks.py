"""How many evaluated tasks the mixture of a run gives away, and of how many it holds the
demonstrations alone, as its `run.json` recorded at the launch."""

import functools
from pathlib import Path
from typing import NamedTuple

from core.errors import UserError
from core.plain_files import Stamp, file_stamp
from core.runs.layout import RECORD, record_files
from core.runs.run_record import read_record_file


class Counts(NamedTuple):
    """Evaluated tasks that a mixture gives away (`leaked`), of which it holds the demonstrations alone
    (`seen`, test-time training), and which are drawn from pools of which it holds other pairs (`rules`); None
    where the record does not say."""

    leaked: int | None
    seen: int | None
    rules: int | None


def leaked_tasks(run: Path) -> int | None:
    """How many evaluated tasks the mixture of a run gives away, by its folder; None where it does not say."""
    return recorded_counts(run / RECORD).leaked


def seen_tasks(run: Path) -> int | None:
    """Of how many evaluated tasks the mixture of a run holds the demonstrations (test-time training), by its
    folder; None where it does not say."""
    return recorded_counts(run / RECORD).seen


def recorded_counts(record: Path) -> Counts:
    """What the record of a run says of the evaluated tasks in its mixture."""
    return _counts(record, file_stamp(record))


def counts_by_variant(experiment: Path) -> dict[str, Counts]:
    """The most that a run of each variant saw, by the experiment's folder."""
    found: dict[str, Counts] = {}
    for record in record_files(experiment):
        variant, counts = record.parents[1].name, recorded_counts(record)
        found[variant] = Counts(*map(_larger, found.get(variant, counts), counts))
    return found


def _larger(one: int | None, other: int | None) -> int | None:
    return max((count for count in (one, other) if count is not None), default=None)


@functools.lru_cache(maxsize=4096)
def _counts(record: Path, _stamp: Stamp) -> Counts:
    try:
        made = read_record_file(record)
        leaked = len({(leak["source_b"], leak["task_b"]) for leak in made["leaks"]})
        return Counts(leaked, len(made.get("test_time", ())), len(made.get("known_rules", ())))
    except (UserError, KeyError, TypeError, AttributeError):
        return Counts(None, None, None)
