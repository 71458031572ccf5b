"""What is too long: dropped or shortened, alike in training and inference, and never by too much."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arc.tasks import Task, parse_task
from core.prompts.prompt_shortening import fitted_prompt, fitted_sample, shorten
from core.prompts.templates import PromptSettings, longest_answer, prompt_tokens, training_sample
from core.prompts.vocabulary import embedded_tokenizer
from tests.arc.strategies import grids

DROP, SHORTEN = PromptSettings(), PromptSettings(too_long="shorten")
TOKENIZER = embedded_tokenizer()


@st.composite
def questions(draw: st.DrawFn) -> Task:
    """Tasks with one to five demonstrations and one test pair."""
    pairs = [{"input": draw(grids()), "output": draw(grids())} for _ in range(draw(st.integers(2, 6)))]
    return parse_task({"train": pairs[:-1], "test": pairs[-1:]}, task_id="a", source="toy")


def sample_size(task: Task) -> int:
    return len(training_sample(task, DROP, TOKENIZER).tokens)


@settings(max_examples=60)
@given(questions(), st.data())
def test_a_sample_keeps_all_that_fits_and_no_more(task: Task, data: st.DataObject) -> None:
    limit = data.draw(st.integers(16, sample_size(task) + 5))
    sample, removed = fitted_sample(task, SHORTEN, TOKENIZER, limit)
    least = sample_size(replace(task, train=task.train[:1]))
    if sample is None:
        assert removed == 0 and least > limit
        return
    kept = replace(task, train=task.train[: len(task.train) - removed])
    assert sample == training_sample(kept, DROP, TOKENIZER) and len(sample.tokens) <= limit
    if removed:
        longer = replace(task, train=task.train[: len(kept.train) + 1])
        assert sample_size(longer) > limit, "one demonstration more would not fit"


@settings(max_examples=40)
@given(questions(), st.data())
def test_dropping_is_all_or_nothing(task: Task, data: st.DataObject) -> None:
    size = sample_size(task)
    limit = data.draw(st.integers(max(16, size - 5), size + 5))
    wanted = training_sample(task, DROP, TOKENIZER) if size <= limit else None
    assert fitted_sample(task, DROP, TOKENIZER, limit) == (wanted, 0)


@settings(max_examples=60)
@given(questions(), st.data())
def test_a_prompt_is_shortened_until_an_answer_as_long_as_its_grids_has_room(
    task: Task, data: st.DataObject
) -> None:
    whole = prompt_tokens(task, DROP, TOKENIZER)
    limit = data.draw(st.integers(16, len(whole) + 100))
    fitted = fitted_prompt(task, SHORTEN, TOKENIZER, limit)
    shown = replace(task, train=task.train[: fitted.demonstrations])
    assert fitted.tokens == prompt_tokens(shown, DROP, TOKENIZER)
    shown_grids = [pair.input for pair in task.pairs] + [pair.output for pair in task.train]
    answer = max(grid.size + len(grid) for grid in shown_grids if grid is not None)
    if fitted.fits:
        assert len(fitted.tokens) + (answer if fitted.demonstrations > 1 else 1) <= limit
        if fitted.demonstrations < len(task.train):
            longer = replace(task, train=task.train[: fitted.demonstrations + 1])
            assert len(prompt_tokens(longer, DROP, TOKENIZER)) + answer > limit
    else:
        assert fitted.tokens == whole
        assert len(prompt_tokens(replace(task, train=task.train[:1]), DROP, TOKENIZER)) >= limit


def test_a_prompt_that_is_dropped_or_has_room_for_any_answer_stays_whole() -> None:
    pairs = [{"input": [[1, 2]], "output": [[3]]}] * 3
    task = parse_task({"train": pairs[:2], "test": pairs[2:]}, task_id="a", source="toy")
    whole = prompt_tokens(task, DROP, TOKENIZER)
    for limit, fits in ((len(whole), False), (len(whole) + 1, True)):
        fitted = fitted_prompt(task, DROP, TOKENIZER, limit)
        assert (fitted.tokens, fitted.demonstrations, fitted.fits) == (whole, 2, fits)
    roomy = fitted_prompt(task, SHORTEN, TOKENIZER, len(whole) + longest_answer(SHORTEN))
    assert (roomy.tokens, roomy.demonstrations) == (whole, 2)
    bounded = fitted_prompt(task, SHORTEN, TOKENIZER, len(whole) + 1, longest_output=1)
    assert (bounded.tokens, bounded.demonstrations) == (whole, 2), "an answer of one token has room"


@pytest.mark.parametrize(("room", "kept"), [(3, 3), (2, 2), (1, 1), (0, None)])
def test_demonstrations_go_from_the_end(room: int, kept: int | None) -> None:
    pairs = [{"input": [[n]], "output": [[n]]} for n in range(4)]
    task = parse_task({"train": pairs[:3], "test": pairs[3:]}, task_id="a", source="toy")
    shorter = shorten(task, lambda one: len(one.train) <= room)
    assert (None if shorter is None else shorter.train) == (None if kept is None else task.train[:kept])
