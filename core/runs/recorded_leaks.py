"""How many evaluated tasks the mixture of a run gives away, as its `run.json` recorded at the launch."""

import functools
from pathlib import Path

from core.curation.stored import Stamp, file_stamp
from core.errors import UserError
from core.storage.files import read_json


def leaked_tasks(run: Path) -> int | None:
    """How many evaluated tasks the mixture of a run gives away, by its folder; None where it does not say."""
    record = run / "run.json"
    return _leaked_tasks(record, file_stamp(record))


@functools.lru_cache(maxsize=4096)
def _leaked_tasks(record: Path, _stamp: Stamp) -> int | None:
    try:
        leaks = read_json(record)["leaks"]
        return len({(leak["source_b"], leak["task_b"]) for leak in leaks})
    except (UserError, KeyError, TypeError):
        return None
