"""Samples drawn and tokenized ahead, by processes of their own, so that a GPU never waits for them.

A sample depends on its number alone, so it does not matter who draws it or when: processes that share a
training draw a part each and hand it round, and the next step's batches are made while this one's are worked
on.
"""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, Protocol, TypeVar

from core.parallel.ranks import Workers

T = TypeVar("T")
Sample = TypeVar("Sample", covariant=True)

CHUNK = 16
CHUNKS_AHEAD = 4
"""For each process: what waits while it works."""

_draw: Callable[[int], Any] | None = None


class Draws(Protocol[Sample]):
    """Gives samples by their numbers, until it is closed."""

    def __call__(self, number: int) -> Sample:
        """The sample of this number."""
        ...

    def close(self) -> None:
        """End what works on it."""
        ...


def draws_of(draw: Callable[[int], T], processes: int, workers: Workers) -> Draws[T] | None:
    """Samples drawn by other processes and by the workers together; None where everything is drawn here."""
    if workers.count == 1:
        return DrawnAhead(draw, processes) if processes else None
    own = OwnShare(draw, workers.rank, workers.count)
    return HandedRound(DrawnAhead(own, processes) if processes else own, workers)


class DrawnAhead(Generic[T]):
    """Calls a function of a number in other processes, ahead of the numbers that are requested.

    Numbers are requested in ascending order; a jump only costs what was drawn in vain. The function must
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


@dataclass(frozen=True)
class OwnShare(Generic[T]):
    """The samples that one of several workers draws, counted by themselves: every `count`-th chunk."""

    draw: Callable[[int], T]
    rank: int
    count: int

    def __call__(self, number: int) -> T:
        """The sample that stands at this place among the own ones."""
        chunk, within = divmod(number, CHUNK)
        return self.draw((chunk * self.count + self.rank) * CHUNK + within)

    def close(self) -> None:
        """Nothing works on it."""


class HandedRound(Generic[T]):
    """Samples of which each worker draws its share. All must ask for the same numbers in the same order."""

    def __init__(self, own: Draws[T], workers: Workers) -> None:
        self._own, self._workers = own, workers
        self._round: tuple[int, list[list[T]]] = (-1, [])

    def __call__(self, number: int) -> T:
        """The sample of this number, whoever drew it."""
        chunk, within = divmod(number, CHUNK)
        wanted, rank = divmod(chunk, self._workers.count)
        if self._round[0] != wanted:
            mine = [self._own(place) for place in range(wanted * CHUNK, (wanted + 1) * CHUNK)]
            self._round = (wanted, self._workers.gather(mine))
        return self._round[1][rank][within]

    def close(self) -> None:
        """End what draws the own share."""
        self._own.close()


class Step(Protocol):
    """What a step works on; it says with which sample the next begins."""

    @property
    def next_sample(self) -> int:
        """The number of that sample."""
        ...


S = TypeVar("S", bound=Step)


class Following(Generic[S]):
    """Makes what follows a step, in a thread, while the step is worked on."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[S]] | None = None

    def __call__(self, make: Callable[[int], S], first: int) -> S:
        """What `make` gives for the step that begins with this number; then the one after it is begun."""
        found = self._take(first) or self._thread.submit(make, first)
        made = found.result()
        self._next = (made.next_sample, self._thread.submit(make, made.next_sample))
        return made

    def forget(self) -> None:
        """Wait until nothing is being made, and drop it."""
        if self._next is not None and not self._next[1].cancel():
            self._next[1].exception()
        self._next = None

    def _take(self, first: int) -> Future[S] | None:
        if self._next is None or self._next[0] != first:
            self.forget()
            return None
        return self._next[1]


def _begin(draw: Callable[[int], Any]) -> None:
    global _draw
    _draw = draw


def _chunk(chunk: int) -> list[Any]:
    assert _draw is not None
    return [_draw(number) for number in range(chunk * CHUNK, (chunk + 1) * CHUNK)]
