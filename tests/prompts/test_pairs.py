"""Pairs as prompts: a task's token, a symmetry's token and one grid, whole on a canvas."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.grids import Grid, same_grid
from core.arc.tasks import Pair, Task
from core.arc.views import View, compose_symmetries
from core.errors import UserError
from core.prompts.encoders import GridEncoding, grid_to_text, text_to_grid, whole_canvas
from core.prompts.pairs import add_task_tokens, pair_count, pair_text, symmetry_token, task_token
from core.prompts.prompt_shortening import fitted_prompt, fitted_sample
from core.prompts.templates import PromptSettings, answer_text, longest_answer, prompt_tokens, training_sample
from core.prompts.vocabulary import VOCABULARY, embedded_tokenizer
from core.settings import validated
from tests.arc.strategies import grids

CANVAS = GridEncoding(canvas=7)
PAIR = PromptSettings(template="pair", encoding=CANVAS)


def turn(number: int, height: int = 2, width: int = 3) -> Task:
    grid = (np.arange(height * width, dtype=np.uint8) % 10).reshape(height, width)
    pair = Pair(grid, np.ascontiguousarray(np.rot90(grid)))
    return Task(f"turn-{number}", "toy", f"turn-{number}", (pair, pair), (pair,))


@given(grids(max_side=7))
def test_reading_undoes_writing_on_a_canvas(grid: Grid) -> None:
    text = grid_to_text(grid, CANVAS)
    assert same_grid(text_to_grid(text, CANVAS), grid)
    assert same_grid(text_to_grid(text + "\n\n", CANVAS), grid)
    assert len(whole_canvas(grid, 7)) == 7 * 8


@given(grids(max_side=7))
def test_a_cell_s_place_tells_its_row_and_column(grid: Grid) -> None:
    text = whole_canvas(grid, 7)
    for (row, column), colour in np.ndenumerate(grid):
        assert text[row * 8 + column] == str(colour)


@given(st.text(alphabet="12\n", max_size=40))
def test_what_is_read_from_a_canvas_is_written_the_same(text: str) -> None:
    grid = text_to_grid(text, CANVAS)
    if grid is not None:
        assert grid_to_text(grid, CANVAS) == text.rstrip("\n")


@pytest.mark.parametrize(
    "text", ["", "\n12", "12\n34", "12345678", "12" + "\n" * 6 + "3", "1\n2\n\n\n\n\n\n3"]
)
def test_what_is_no_grid_on_a_canvas_is_none(text: str) -> None:
    assert text_to_grid(text, CANVAS) is None


def test_a_prompt_is_task_symmetry_and_grid_and_the_answer_begins_at_one_place() -> None:
    tokenizer = embedded_tokenizer()
    learned = add_task_tokens(tokenizer, ["turn-2", "turn-1"])
    assert learned == [*range(len(VOCABULARY), len(VOCABULARY) + 10)]
    assert add_task_tokens(tokenizer, ["turn-1", "turn-2"]) == learned
    places = set()
    for number, size in ((1, (2, 3)), (2, (5, 7))):
        for symmetry in range(8):
            task = View(symmetry).apply(turn(number, *size))
            tokens = prompt_tokens(task, PAIR, tokenizer)
            named = tokenizer.convert_ids_to_tokens(tokens[1:3])
            assert named == [task_token(f"turn-{number}"), symmetry_token(symmetry)]
            assert len(tokens) == pair_count(task, CANVAS)
            sample = training_sample(task, PAIR, tokenizer)
            places.add(sample.is_answer.index(True))
            assert sample.tokens[: len(tokens)] == tokens
            text = tokenizer.decode(sample.tokens[len(tokens) :], skip_special_tokens=True)
            assert same_grid(text_to_grid(text, CANVAS), task.test[0].output)
    assert places == {3 + 7 * 8}


def test_a_base_s_tokens_stay_where_they_are() -> None:
    tokenizer = embedded_tokenizer()
    before = add_task_tokens(tokenizer, ["b", "c"])
    after = add_task_tokens(tokenizer, ["a", "c"])
    assert after[:8] == before[:8] and after[8:] == [before[-1] + 1, before[-1]]


def test_an_unknown_task_is_refused_with_what_to_do() -> None:
    tokenizer = embedded_tokenizer()
    add_task_tokens(tokenizer, ["other"])
    with pytest.raises(UserError, match=r"no token for task 'turn-1'.*demonstrations to the mixture"):
        prompt_tokens(turn(1), PAIR, tokenizer)


def test_grids_over_the_canvas_are_neither_trained_on_nor_prompted() -> None:
    tokenizer = embedded_tokenizer()
    add_task_tokens(tokenizer, ["turn-1"])
    assert fitted_sample(turn(1, 2, 8), PAIR, tokenizer, 512) == (None, 0)
    assert fitted_sample(turn(2), PAIR, tokenizer, 512) == (None, 0), "a question about an unknown task"
    assert not fitted_prompt(turn(1, 2, 8), PAIR, tokenizer, 512).fits
    assert fitted_prompt(turn(1, 2, 8), PAIR, tokenizer, 512).why_not == "over_canvas"
    assert fitted_prompt(turn(2), PAIR, tokenizer, 512).why_not == "no_token"
    wide = turn(1)
    hidden = replace(wide, test=(Pair(wide.test[0].input, np.zeros((8, 8), dtype=np.uint8)),))
    assert fitted_prompt(hidden, PAIR, tokenizer, 512).fits, "the output is not known when it is asked"
    assert longest_answer(PAIR) >= len(answer_text(np.zeros((7, 7), dtype=np.uint8), PAIR)) + 1


def test_without_a_canvas_grids_are_written_in_any_encoding() -> None:
    encoding = GridEncoding(shape_header=True)
    assert pair_text(turn(1), encoding) == "<task turn-1><symmetry 0>I2x3\n012\n345\nO"


def test_a_canvas_goes_with_pairs_and_without_other_options() -> None:
    with pytest.raises(UserError, match="template pair alone"):
        validated(PromptSettings, {"encoding": {"canvas": 5}}, "x")
    with pytest.raises(UserError, match="holds cells alone"):
        validated(GridEncoding, {"canvas": 5, "row_numbers": True}, "x")


@given(st.integers(0, 7), st.integers(0, 7))
def test_views_of_views_know_their_symmetry(first: int, then: int) -> None:
    seen = View(then).apply(View(first).apply(turn(1)))
    assert seen.symmetry == compose_symmetries(first, then)
    assert seen == View(seen.symmetry).apply(turn(1))
    assert View(first).inverse().apply(View(first).apply(turn(1))) == turn(1)
