"""How many evaluated tasks the mixture of a run gives away, and of how many it holds the
demonstrations alone, as its `run.json` recorded at the launch."""

import functools
from pathlib import Path

from core.errors import UserError
from core.plain_files import Stamp, file_stamp
from core.runs.layout import RECORD
from core.runs.record import read_record_file


def leaked_tasks(run: Path) -> int | None:
    """How many evaluated tasks the mixture of a run gives away, by its folder; None where it does not say."""
    record = run / RECORD
    return _counts(record, file_stamp(record))[0]


def seen_tasks(run: Path) -> int | None:
    """Of how many evaluated tasks the mixture of a run holds the demonstrations (test-time training), by its
    folder; None where it does not say."""
    record = run / RECORD
    return _counts(record, file_stamp(record))[1]


def known_rules(run: Path) -> int | None:
    """How many evaluated tasks are drawn from pools of which the mixture of a run holds other pairs, by its
    folder; None where it does not say."""
    record = run / RECORD
    return _counts(record, file_stamp(record))[2]


@functools.lru_cache(maxsize=4096)
def _counts(record: Path, _stamp: Stamp) -> tuple[int | None, int | None, int | None]:
    try:
        made = read_record_file(record)
        leaked = len({(leak["source_b"], leak["task_b"]) for leak in made["leaks"]})
        return leaked, len(made.get("test_time", ())), len(made.get("known_rules", ()))
    except (UserError, KeyError, TypeError, AttributeError):
        return None, None, None
