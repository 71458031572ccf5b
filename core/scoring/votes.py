"""The distinct answers of an evaluation, each once, with its votes: what scores are counted from.

In come the predictions, of which parquet hands out equal texts and grids as the same small number, so that
attempts are put together by sorting whole numbers; out come arrays with one element per distinct answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.storage.parquet_files import open_parquet
from core.storage.seals import check_seal, damaged

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Output = tuple[str, str, int]
"""A test output: source, task_id, test_index."""

_NUMBERED = ("source", "task_id", "output_cells")
_COLUMNS = (*_NUMBERED, "test_index", "attempt", "logprob", "output_tokens", "output_h", "output_w")
_SIDES = 256
"""Heights and widths are stored in 8 bits."""


@dataclass(frozen=True)
class Distinct:
    """Distinct answers by their outputs; all arrays have shape (answers,).

    `output` is the place of the test output, ascending; `votes` says how many attempts gave the answer. Not
    `voted` is an answer without a grid; otherwise `height` and `width` are those of its grid, whose cells are
    `grids[grid]`.
    """

    output: Whole
    votes: Whole
    height: Whole
    width: Whole
    grid: Whole
    grids: pa.BinaryArray
    _table: pa.Table
    _rows: Whole
    _starts: Whole

    @property
    def voted(self) -> npt.NDArray[np.bool_]:
        """Which answers hold a grid."""
        return self.grid >= 0

    def standing(self, these: Whole) -> tuple[Floats, Whole]:
        """Of some of the answers the mean logprob per token over the attempts whose logprob is known, else
        −inf, and which attempt was the first."""
        if not these.size:
            return np.zeros(0), these
        counts = self.votes[these]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rows = self._rows[np.repeat(self._starts[these] - starts, counts) + np.arange(counts.sum())]
        logprob, tokens, attempt = (
            _numbers(self._table.column(name), unknown)[rows]
            for name, unknown in (("logprob", np.nan), ("output_tokens", 0), ("attempt", 0))
        )
        known = ~np.isnan(logprob) & (tokens > 0)
        each = np.divide(logprob, tokens, out=np.zeros(logprob.size), where=known)
        total, made = (np.add.reduceat(part, starts) for part in (each, known.astype(np.float64)))
        mean = np.divide(total, made, out=np.full(starts.size, -np.inf), where=made > 0)
        return mean, np.minimum.reduceat(attempt, starts)


def distinct_answers(predictions: Path, outputs: Mapping[Output, int]) -> Distinct:
    """The answers to these outputs, by their places; those to others are left out.

    Raises `UserError` where the file can't be read.
    """
    table = _read(predictions)
    place = _places(table, outputs)
    if place.min(initial=0) < 0:
        evaluated = place >= 0
        table, place = table.filter(pa.array(evaluated)), place[evaluated]
    cells = _dictionary(table, "output_cells")
    code = _numbers(cells.indices, -1)
    height, width = (_numbers(table.column(name), 0) for name in ("output_h", "output_w"))
    key = (place * (len(cells.dictionary) + 1) + code) * _SIDES**2
    key += height.astype(np.int64) * _SIDES + width
    order = np.argsort(key, kind="stable")  # so that sums over attempts are added in their order
    starts = _changes(key[order])
    first = order[starts]
    return Distinct(
        place[first],
        np.diff(np.append(starts, order.size)),
        height[first].astype(np.int64),
        width[first].astype(np.int64),
        code[first].astype(np.int64),
        cells.dictionary,
        table,
        order,
        starts,
    )


def _changes(*columns: npt.NDArray[np.integer[Any]]) -> Whole:
    """Where a stretch of rows begins that are equal in all columns."""
    changed = np.zeros(columns[0].size, dtype=np.bool_)
    changed[:1] = True
    for values in columns:
        changed[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(changed)


def _read(predictions: Path) -> pa.Table:
    check_seal(predictions)
    try:
        with open_parquet(predictions, _NUMBERED) as file:
            return file.read(columns=list(_COLUMNS)).unify_dictionaries().combine_chunks()
    except (pa.ArrowException, OSError, ValueError, KeyError) as problem:
        raise damaged(predictions, problem) from problem


def _dictionary(table: pa.Table, name: str) -> pa.DictionaryArray:
    """A numbered column in one piece."""
    column = table.column(name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _numbers(column: pa.Array | pa.ChunkedArray, unknown: float) -> npt.NDArray[Any]:
    """Numbers of the column's own width, `unknown` where there is none."""
    whole = column.fill_null(unknown) if column.null_count else column
    # `to_numpy` would import pandas, which nothing else here needs.
    return np.from_dlpack(whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole)


def _places(table: pa.Table, outputs: Mapping[Output, int]) -> Whole:
    """For each row the place of its output among `outputs`, −1 where it is none of them.

    Attempts at one output mostly stand together, so that each such stretch is looked up once.
    """
    sources, tasks = (_dictionary(table, name) for name in ("source", "task_id"))
    source, task = _numbers(sources.indices, 0), _numbers(tasks.indices, 0)
    index = _numbers(table.column("test_index"), 0)
    starts = _changes(source, task, index)
    names, ids = sources.dictionary.to_pylist(), tasks.dictionary.to_pylist()
    stretches = zip(*(code[starts].tolist() for code in (source, task, index)), strict=True)
    places = [outputs.get((names[one], ids[two], three), -1) for one, two, three in stretches]
    return np.repeat(np.array(places, dtype=np.int64), np.diff(np.append(starts, table.num_rows)))
