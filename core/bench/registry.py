"""Named measurements, and the rows that each of them fills.

A benchmark declares its rows beforehand (what, unit, the figure that is wanted, the peer it is held against),
so that a table can say "not measured" of a row; measuring yields a `Measured` for each row it could fill.
To add one: write a module in this room with a `BENCHMARKS` tuple, and name the module in `MODULES`. Modules
import at their top only what is light: they are all loaded to list the rows. Then write the new rows into
docs/figures.md, which a test compares: `python -m core bench table data/bench.json --into docs/figures.md`.
"""

import difflib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.bench.bench_context import Workshop
from core.errors import UserError

MODULES = ("training", "shipped_model", "inference", "scoring", "spread", "pages", "run_queue")
"""Modules of this room that hold benchmarks, in the order in which they are measured and shown."""


@dataclass(frozen=True)
class Row:
    """One figure. `wanted` is a bound such as "< 2"; `peer` names what it is held against, in words.

    `more_is_better` says which way the ratio to the peer goes: a ratio above 1 is always good.
    `wanted_ratio` is a bound of the ratio.
    """

    name: str
    unit: str
    what: str
    wanted: str = ""
    peer: str | None = None
    wanted_ratio: str = ""
    more_is_better: bool = False


@dataclass(frozen=True)
class Measured:
    """The value of a row, in the row's unit; the peer's value in the same unit, measured in the same run.

    `ratio` is computed from the two unless it is given (as a median of ratios of pairs, for instance).
    """

    name: str
    value: float
    peer_value: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """A name for `--only`, the rows that it fills, and how: a function that yields them as they come."""

    name: str
    rows: tuple[Row, ...]
    measure: Callable[[Workshop], Iterator[Measured]]


def benchmarks() -> list[Benchmark]:
    """All benchmarks in order."""
    return [one for module in MODULES for one in importlib.import_module(f"core.bench.{module}").BENCHMARKS]


def all_rows() -> list[Row]:
    """The rows of all benchmarks, in the order of the table."""
    return [row for one in benchmarks() for row in one.rows]


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of these names, all where none is given. Raises `UserError` for an unknown name."""
    known = {one.name: one for one in benchmarks()}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise UserError(f"There is no benchmark '{name}'. {hint}Known: {', '.join(known)}.")
    return [one for one in known.values() if not names or one.name in names]


def ratio_of(row: Row, measured: Measured) -> float | None:
    """How many times better than the peer; None without a peer or where one of the two is 0."""
    if measured.ratio is not None or not measured.peer_value or not measured.value:
        return measured.ratio
    better, worse = measured.value, measured.peer_value
    return better / worse if row.more_is_better else worse / better


def holds(bound: str, value: float | None) -> bool | None:
    """Whether a value keeps a bound such as "< 2" or "≥ 30"; None where one of the two is unknown."""
    if not bound or value is None:
        return None
    sign, limit = bound.split(maxsplit=1)
    number = float(limit.replace(",", ""))
    return {"<": value < number, "≤": value <= number, "≥": value >= number, ">": value > number}[sign]
