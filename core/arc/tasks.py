"""Pairs and tasks, read from ARC's JSON form and turned around.

A task keeps the *family* of the original it derives from, so that a reversed or augmented twin is
never mistaken for an independent task. Tasks are values: every change makes a new one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from core.arc.grids import Grid, parse_grid, same_grid
from core.errors import UserError

REVERSED_SUFFIX = "-reversed"


@dataclass(frozen=True, eq=False)
class Pair:
    """One input grid and its output grid; the output is None where it is not known (a hidden test)."""

    input: Grid
    output: Grid | None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Pair)
            and same_grid(self.input, other.input)
            and same_grid(self.output, other.output)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def cells(self) -> int:
        """Cells of both grids, as far as they are known."""
        return int(self.input.size) + (0 if self.output is None else int(self.output.size))

    def reverse(self) -> Self:
        """The pair read from output to input. Raises `UserError` where there is no output."""
        if self.output is None:
            raise UserError("A pair without an output can't be reversed. Reverse training tasks only.")
        return replace(self, input=self.output, output=self.input)


@dataclass(frozen=True)
class Task:
    """Demonstration pairs and test pairs under one id.

    A *pool task* has no test pairs of its own and `n_train` set: its `train` pairs are a pool, from
    which `n_train` demonstrations and one test pair are drawn each time. `symmetry` (0–7) is the one under
    which the grids are seen: 0 as they are stored, else that of the views they went through.
    """

    task_id: str
    source: str
    family: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    n_train: int | None = None
    symmetry: int = 0

    @property
    def is_pool(self) -> bool:
        """Whether demonstrations and test are drawn from many pairs."""
        return self.n_train is not None

    @property
    def is_reversed(self) -> bool:
        """Whether inputs and outputs are those of another task, exchanged."""
        return self.task_id.endswith(REVERSED_SUFFIX)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Demonstration pairs, then test pairs."""
        return self.train + self.test

    @cached_property
    def brought_in(self) -> frozenset[int]:
        """The colours that the output of a demonstration shows and its own input does not."""
        shown = [
            set(np.unique(pair.output).tolist()) - set(np.unique(pair.input).tolist())
            for pair in self.train
            if pair.output is not None
        ]
        return frozenset().union(*shown)

    @property
    def cells(self) -> int:
        """Cells of one sample: all demonstrations and the largest test pair (for a pool, its largest)."""
        sizes = [pair.cells for pair in self.train]
        if self.n_train is not None:
            return sum(sorted(sizes, reverse=True)[: self.n_train + 1])
        return sum(sizes) + max((pair.cells for pair in self.test), default=0)

    def reverse(self) -> Self:
        """The task of predicting the inputs from the outputs; same family. Its own inverse.

        Raises `UserError` where an output is not known.
        """
        task_id = self.task_id.removesuffix(REVERSED_SUFFIX)
        if not self.is_reversed:
            task_id += REVERSED_SUFFIX
        return replace(
            self,
            task_id=task_id,
            train=tuple(pair.reverse() for pair in self.train),
            test=tuple(pair.reverse() for pair in self.test),
        )


def parse_task(record: Any, *, task_id: str, source: str, family: str | None = None) -> Task:
    """A task from ARC's JSON form, `{"train": [{"input": rows, "output": rows}], "test": [...]}`.

    With `n_train` and without `test` it is a pool task. The family defaults to the task's id.
    Raises `UserError` naming task, pair and cell for anything that is not a task.
    """
    where = f"Task {task_id!r} of {source}"
    if not isinstance(record, Mapping) or "train" not in record:
        raise UserError(f"{where} has no list 'train'. An ARC task is an object with 'train' and 'test'.")
    train = parse_pairs(record["train"], f"{where}, train pair", outputs_required=True)
    test = parse_pairs(record.get("test", []), f"{where}, test pair", outputs_required=False)
    n_train = record.get("n_train")
    if not train:
        raise UserError(f"{where} has no demonstration pair. Leave it out or correct the file.")
    if n_train is None and not test:
        raise UserError(f"{where} has no test pair. Give it one, or 'n_train' to make it a pool task.")
    if n_train is not None and (type(n_train) is not int or not 1 <= n_train < len(train)):
        raise UserError(
            f"{where}: n_train is {n_train!r}, but a pool of {len(train)} pairs needs 1 to {len(train) - 1}."
        )
    if n_train is not None and test:
        raise UserError(f"{where} has both test pairs and 'n_train'. Remove one of them.")
    return Task(task_id, source, family or task_id, train, test, n_train)


def parse_pairs(records: Any, where: str, *, outputs_required: bool) -> tuple[Pair, ...]:
    """The pairs of a list `[{"input": rows, "output": rows}, …]`. Raises `UserError` naming pair and cell."""
    if not isinstance(records, Iterable) or isinstance(records, str | bytes | Mapping):
        raise UserError(f"{where}s are not a list. Correct the file.")
    pairs = []
    for index, record in enumerate(records):
        if not isinstance(record, Mapping) or "input" not in record:
            raise UserError(f"{where} {index} has no 'input'. Correct the file.")
        output = record.get("output")
        if output is None and outputs_required:
            raise UserError(f"{where} {index} has no 'output'. Correct the file.")
        pairs.append(
            Pair(
                parse_grid(record["input"], f"{where} {index}, input"),
                None if output is None else parse_grid(output, f"{where} {index}, output"),
            )
        )
    return tuple(pairs)
