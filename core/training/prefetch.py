"""Samples drawn and tokenized ahead, by processes of their own, so that a GPU never waits for them.

A sample depends on its number alone, so it does not matter who draws it or when.
"""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")

CHUNK = 16
CHUNKS_AHEAD = 4
"""For each process: what waits while it works."""

_draw: Callable[[int], Any] | None = None


class DrawnAhead(Generic[T]):
    """Calls a function of a number in other processes, ahead of the numbers that are asked for.

    Numbers are asked for in ascending order; a jump only costs what was drawn in vain. The function must
    be picklable and give the same for the same number.
    """

    def __init__(self, draw: Callable[[int], T], processes: int) -> None:
        self._pool = ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(draw,)
        )
        self._ahead = processes * CHUNKS_AHEAD
        self._chunks: dict[int, Future[list[T]]] = {}

    def __call__(self, number: int) -> T:
        """What the function gives for a number."""
        wanted = number // CHUNK
        for chunk in [chunk for chunk in self._chunks if not wanted <= chunk <= wanted + self._ahead]:
            self._chunks.pop(chunk).cancel()
        for chunk in range(wanted, wanted + self._ahead):
            if chunk not in self._chunks:
                self._chunks[chunk] = self._pool.submit(_chunk, chunk)
        return self._chunks[wanted].result()[number % CHUNK]

    def close(self) -> None:
        """End the processes; what they have begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _begin(draw: Callable[[int], Any]) -> None:
    global _draw
    _draw = draw


def _chunk(chunk: int) -> list[Any]:
    assert _draw is not None
    return [_draw(number) for number in range(chunk * CHUNK, (chunk + 1) * CHUNK)]
