"""Samples drawn ahead by other processes are those that are drawn here, in any order of asking."""

import os

import pytest

from core.errors import UserError
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import embedded_tokenizer
from core.training.batches import Drawing
from core.training.prefetch import CHUNK, DrawnAhead
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
