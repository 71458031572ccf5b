"""Samples drawn ahead by other processes are those that are drawn here, in any order of asking."""

import os
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from core.errors import UserError
from core.parallel.prefetch import CHUNK, DrawnAhead, Following, HandedRound, OwnShare
from core.parallel.ranks import Workers
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import embedded_tokenizer
from core.training.batches import Drawing
from tests.training.conftest import tiny_settings, toy_mixture


def numbered(number: int) -> tuple[int, int]:
    """The number and who drew it; one of them can't be drawn."""
    if number == 3 * CHUNK:
        raise UserError("There is no such sample. Choose another.")
    return number, os.getpid()


def test_numbers_come_from_other_processes_once_each_and_problems_with_them() -> None:
    drawn = DrawnAhead(numbered, 1)
    try:
        found = [drawn(number) for number in [*range(2 * CHUNK), 5, 2 * CHUNK]]
        assert [number for number, _ in found] == [*range(2 * CHUNK), 5, 2 * CHUNK]
        assert os.getpid() not in {process for _, process in found}
        with pytest.raises(UserError, match="There is no such sample"):
            drawn(3 * CHUNK)
        assert drawn(4 * CHUNK)[0] == 4 * CHUNK, "the others are still there"
    finally:
        drawn.close()


@pytest.mark.parametrize("options", [{}, {"tokens_per_step": 300}])
def test_a_step_is_the_same_however_its_samples_were_drawn(options: dict[str, int]) -> None:
    settings = tiny_settings(**options)
    here = Drawing(toy_mixture(), PromptSettings(), settings, embedded_tokenizer(), 2048, packed=True)
    ahead = here.ahead(1)
    first = 0
    try:
        for _ in range(4):
            one, other = here.step(first), ahead.step(first)
            assert one.next_sample == other.next_sample
            assert [batch.tokens.tolist() for batch in one.batches] == [
                batch.tokens.tolist() for batch in other.batches
            ]
            first = one.next_sample
    finally:
        ahead.close()


class Meeting:
    """Workers that are threads, and meet when all have handed in."""

    def __init__(self, count: int) -> None:
        self.count, self._barrier = count, threading.Barrier(count, timeout=60)
        self._handed: list[object] = [None] * count

    def worker(self, rank: int) -> "Workers":
        meeting = self

        @dataclass(frozen=True)
        class Met(Workers):
            def gather(self, mine: Any) -> list[Any]:
                meeting._handed[rank] = mine
                meeting._barrier.wait()
                found = list(meeting._handed)
                meeting._barrier.wait()
                return found

        return Met(rank, meeting.count)


@pytest.mark.parametrize("count", [2, 3])
def test_each_worker_draws_its_share_and_has_all(count: int) -> None:
    """Numbers as a training asks for them: ascending, beginning anywhere, and back where memory ended."""
    meeting, drawn, found = Meeting(count), [[] for _ in range(count)], [[] for _ in range(count)]
    numbers = [*range(5, 5 * CHUNK), *range(3 * CHUNK, 4 * CHUNK), 9 * CHUNK]

    def work(rank: int) -> None:
        own = OwnShare(lambda number: drawn[rank].append(number) or -number, rank, count)
        draws = HandedRound(own, meeting.worker(rank))
        found[rank] = [draws(number) for number in numbers]

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == [-number for number in numbers] for one in found)
    assert set(range(5 * CHUNK)) <= set().union(*drawn)
    for rank, one in enumerate(drawn):
        assert one and all(number // CHUNK % count == rank for number in one)


def test_what_follows_is_made_meanwhile_and_a_jump_is_made_anew() -> None:
    @dataclass(frozen=True)
    class Made:
        first: int
        thread: int

        @property
        def next_sample(self) -> int:
            return self.first + 4

    following: Following[Made] = Following()
    made: list[int] = []

    def make(first: int) -> Made:
        made.append(first)
        if first == 12:
            raise UserError("There is nothing at 12. Choose another.")
        return Made(first, threading.get_ident())

    assert [following(make, first).first for first in (0, 4)] == [0, 4]
    assert following(make, 4).first == 4 and following(make, 8).first == 8
    with pytest.raises(UserError, match="nothing at 12"):
        following(make, 12)
    following.forget()
    assert made[:2] == [0, 4] and threading.get_ident() != following(make, 20).thread
