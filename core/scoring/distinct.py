"""The distinct answers of an evaluation, each once, with its votes: what scores are counted from.

In come the predictions, of which parquet hands out equal texts and grids as the same small number, so that
attempts are put together by sorting whole numbers; out come arrays with one element per distinct answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserError

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Output = tuple[str, str, int]

_NUMBERED = ("source", "task_id", "output_cells")
_COLUMNS = (*_NUMBERED, "test_index", "attempt", "logprob", "output_tokens", "output_h", "output_w")
_SIDES = 256
"""Heights and widths are stored in 8 bits."""


@dataclass(frozen=True)
class Distinct:
    """Distinct answers by their outputs; all arrays have shape (answers,).

    `output` is the place of the test output, ascending; `votes` says how many attempts gave the answer,
    `first_attempt` which was the first. `logprob_per_token` is the mean over the attempts whose logprob is
    known, else −inf. Not `voted` is the answer that holds no grid; `cells`, `height` and `width` are its grid
    otherwise.
    """

    output: Whole
    votes: Whole
    first_attempt: Whole
    logprob_per_token: Floats
    voted: npt.NDArray[np.bool_]
    cells: pa.BinaryArray
    height: Whole
    width: Whole


def distinct_answers(predictions: Path, outputs: Sequence[Output]) -> Distinct:
    """The answers to these outputs (source, task_id, test_index); those to others are left out.

    Raises `UserError` where the file can't be read.
    """
    table = _read(predictions)
    place = _places(table, outputs)
    if place.min(initial=0) < 0:
        asked = place >= 0
        table, place = table.filter(pa.array(asked)), place[asked]
    cells = _dictionary(table, "output_cells")
    code = _whole(cells.indices, -1)
    height, width, attempt = (_whole(table.column(name), 0) for name in ("output_h", "output_w", "attempt"))
    key = (place * (len(cells.dictionary) + 1) + code) * _SIDES**2
    key += height.astype(np.int64) * _SIDES + width
    order = np.argsort(key, kind="stable")  # the fastest here, as attempts at one output stand together
    starts = _changes(key[order])
    first = order[starts]
    given = code[first]
    return Distinct(
        place[first],
        np.diff(np.append(starts, order.size)),
        (np.minimum.reduceat(attempt[order], starts) if starts.size else attempt).astype(np.int64),
        _mean_logprobs(table, order, starts),
        given >= 0,
        cells.dictionary.take(pa.array(given, mask=given < 0)),
        height[first].astype(np.int64),
        width[first].astype(np.int64),
    )


def _changes(values: Whole) -> Whole:
    """Where a stretch of equal values begins."""
    return np.flatnonzero(np.diff(values, prepend=values[:1] - 1))


def _read(predictions: Path) -> pa.Table:
    try:
        with pq.ParquetFile(predictions, read_dictionary=list(_NUMBERED)) as file:
            return file.read(columns=list(_COLUMNS)).unify_dictionaries().combine_chunks()
    except (pa.ArrowException, OSError) as problem:
        reason = str(problem).split("\n")[0]
        raise UserError(
            f"A data file can't be read ({predictions}: {reason}). Delete the file that is named and run the"
            " stage again."
        ) from problem


def _dictionary(table: pa.Table, name: str) -> pa.DictionaryArray:
    """A numbered column in one piece."""
    column = table.column(name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _whole(column: pa.Array | pa.ChunkedArray, unknown: int) -> npt.NDArray[np.integer[Any]]:
    """Whole numbers of the column's own width, `unknown` where there is none."""
    return np.asarray((column.fill_null(unknown) if column.null_count else column).to_numpy())


def _places(table: pa.Table, outputs: Sequence[Output]) -> Whole:
    """For each row the place of its output among `outputs`, −1 where it is none of them.

    Attempts at one output mostly stand together, so that each such stretch is looked up once.
    """
    number = {output: place for place, output in enumerate(outputs)}
    sources, tasks = (_dictionary(table, name) for name in ("source", "task_id"))
    source, task = _whole(sources.indices, 0).astype(np.int64), _whole(tasks.indices, 0)
    index = _whole(table.column("test_index"), 0)
    starts = _changes((source * len(tasks.dictionary) + task) * (int(index.max(initial=0)) + 1) + index)
    names, ids = sources.dictionary.to_pylist(), tasks.dictionary.to_pylist()
    stretches = zip(*(code[starts].tolist() for code in (source, task, index)), strict=True)
    places = [number.get((names[one], ids[two], three), -1) for one, two, three in stretches]
    return np.repeat(np.array(places, dtype=np.int64), np.diff(np.append(starts, table.num_rows)))


def _mean_logprobs(table: pa.Table, rows: Whole, starts: Whole) -> Floats:
    """The mean logprob per token of each stretch of `rows` over those where it is known, else −inf."""
    if not starts.size:
        return np.zeros(0)
    logprob, tokens = table.column("logprob").to_numpy(), _whole(table.column("output_tokens"), 0)
    known = ~np.isnan(logprob) & (tokens > 0)
    each = np.divide(logprob, tokens, out=np.zeros(logprob.size), where=known)
    made, total = (np.add.reduceat(part[rows].astype(np.float64), starts) for part in (known, each))
    return np.divide(total, made, out=np.full(starts.size, -np.inf), where=made > 0)
