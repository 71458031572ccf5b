"""Seals: a checksum beside every parquet file, against which the file is held before its numbers are used.

A damaged byte in a parquet file may still be a number, which no reader would notice. The seal of
`scores.parquet` is `scores.parquet.sha256`. It is written first and names the file that is being replaced as
well, so that at no time a good file has a seal that denies it. A file without a seal is from elsewhere: of it
only the keys are checked, which name what each row is about: none lacks, and none stands there twice.
"""

import re
from pathlib import Path

import pyarrow as pa

from core.errors import UserError
from core.plain_files import check_plain, full_stamp, read_bytes
from core.storage.files import sha256_of, write_text
from core.storage.parquet_files import open_parquet

ENDING = ".sha256"
KEYS = {"source", "task_id", "test_index", "attempt", "place", "role", "family", "pair_index"}
"""Columns that have a value in every row, in whichever file they stand."""
_SUM = re.compile(r"[0-9a-f]{64}")

_checked: dict[str, tuple[int, ...]] = {}
"""What this process found whole, by path: time, size and number of the file and of its seal."""
_MOST_CHECKED = 50_000

_REMEDIES = {
    "scores.parquet": "Delete it and launch the experiment again: only the scoring is repeated.",
    "predictions.parquet": "Delete it and scores.parquet beside it, and launch the experiment again: only the"
    " inference is repeated.",
    "candidates.parquet": "Delete it and run: python -m core rescore",
    "imported.parquet": "Import the results again.",
}


def damaged(path: Path, reason: object) -> UserError:
    """The error to raise for a parquet file that can't be read, or must not be used: why, and what to do."""
    first = (str(reason).strip() or type(reason).__name__).split("\n")[0]
    return UserError(f"{path} is damaged ({first}). {_remedy(path)}")


def _remedy(path: Path) -> str:
    if path.parent.name == "sources" or "sources" in path.parts[-4:-1]:
        collection = path.stem if path.parent.name == "sources" else path.parent.name
        return f"Run: python -m core data import {collection}"
    return _REMEDIES.get(path.name, "Delete it and run the stage again.")


def seal_path(path: Path) -> Path:
    """Where the seal of a file lies."""
    return path.with_name(path.name + ENDING)


def write_seal(path: Path, fresh: Path) -> None:
    """Seal `path` before the file `fresh` takes its place."""
    sums = [sha256_of(fresh), *([sha256_of(path)] if path.is_file() else [])]
    write_text(seal_path(path), "".join(f"{one}\n" for one in sums))


def check_seal(path: Path) -> None:
    """Raise `UserError` unless a file is what its seal says or, without a seal, has all its keys.

    A file is read once in a process, until its time or size changes; one that is absent passes.
    """
    seal = seal_path(path)
    try:
        check_plain(path)
        stamp = full_stamp(path)
    except OSError:
        return
    try:
        sealed: tuple[int, ...] = full_stamp(seal)
    except OSError:
        sealed = ()
    if _checked.get(str(path)) == (*stamp, *sealed):
        return
    if sealed:
        _check_whole(path, seal)
    else:
        _check_keys(path)
    if len(_checked) >= _MOST_CHECKED:
        _checked.clear()
    _checked[str(path)] = (*stamp, *sealed)


def _check_whole(path: Path, seal: Path) -> None:
    try:
        # Twice, as a writer may replace both files between the two readings.
        whole = _is_whole(path, seal) or _is_whole(path, seal)
    except OSError as problem:
        raise damaged(path, problem.strerror) from None
    if not whole:
        raise damaged(path, f"it is not what {seal.name} says")


def _check_keys(path: Path) -> None:
    """Raise `UserError` where a row lacks a key or has those of another; a file that can't be opened is left
    to its reader."""
    try:
        with open_parquet(path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            columns = [group.column(place) for group in groups for place in range(group.num_columns)]
            lacking = {
                column.path_in_schema
                for column in columns
                if column.path_in_schema in KEYS and column.statistics and column.statistics.null_count
            }
            keys = file.read([name for name in file.schema_arrow.names if name in KEYS])
            doubled = keys.num_columns and keys.group_by(keys.column_names).aggregate([]).num_rows < len(keys)
    except (pa.ArrowException, OSError, ValueError):
        return
    if lacking:
        raise damaged(path, f"a row has no {min(lacking)}")
    if doubled:
        raise damaged(path, f"a row stands there twice by its {', '.join(keys.column_names)}")


def _is_whole(path: Path, seal: Path) -> bool:
    return sha256_of(path) in _SUM.findall(read_bytes(seal).decode("ascii", "replace"))
