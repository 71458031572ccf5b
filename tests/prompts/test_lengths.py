"""Token lengths: counted as training counts, kept until something changes, honest about what is missing."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from core.arc.tasks import Pair, Task
from core.curation.flags import add_flag
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.mixing.mixtures import MixtureSettings, load_mixture
from core.prompts.encoders import GridEncoding
from core.prompts.lengths import (
    EMBEDDED,
    WINDOWS,
    Lengths,
    draw_with_lengths,
    embedded_count,
    source_lengths,
)
from core.prompts.templates import PromptSettings, training_sample
from core.prompts.vocabulary import embedded_tokenizer
from tests.made_once import copy_of_arc1
from tests.patience import slowness
from tests.printed import printed

PLAIN = PromptSettings()
FULL = PromptSettings(encoding=GridEncoding(shape_header=True, row_numbers=True, cell_separator="space"))


@pytest.fixture(scope="module")
def arc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_arc1(tmp_path_factory, tmp_path_factory.mktemp("arc"))


def square(side: int, colour: int = 1) -> np.ndarray:
    return np.full((side, side), colour, dtype=np.uint8)


def task_of(task_id: str, side: int, *, known: bool = True) -> Task:
    pair = Pair(square(side), square(side, 2))
    return Task(task_id, "toy", task_id, (pair,), (Pair(square(side, 3), square(side) if known else None),))


def test_the_count_by_hand() -> None:
    """<bos> I 1 \\n O 2 <eos> I 3 \\n O, answer 1 <eos>: 13 tokens."""
    assert embedded_count(task_of("a", 1), PLAIN) == 13


@pytest.mark.parametrize("prompt", [PLAIN, FULL])
def test_the_embedded_count_is_that_of_the_embedded_tokenizer(arc: Path, prompt: PromptSettings) -> None:
    settings = MixtureSettings.model_validate({"sources": [{"source": "arc1/training"}]})
    mixture, tokenizer = load_mixture(arc, settings, 3), embedded_tokenizer()
    drawn = draw_with_lengths(mixture, embedded_count, prompt, 8)
    assert [one.tokens for one in drawn] == [
        len(training_sample(mixture.sample(number), prompt, tokenizer).tokens) for number in range(8)
    ]
    assert len({one.tokens for one in drawn}) > 3


def test_a_saved_model_counts_like_the_embedded_tokenizer(tmp_path: Path) -> None:
    store_source(tmp_path, SourceInfo("toy", "", "", "", ""), [task_of("a", 1), task_of("b", 30)])
    folder = tmp_path / "data" / "models" / "mine"
    embedded_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "model.safetensors").write_bytes(b"")
    mine = source_lengths(tmp_path, "toy", "mine", PLAIN)
    assert mine.tokens == source_lengths(tmp_path, "toy", EMBEDDED, PLAIN).tokens
    with pytest.raises(UserError, match="has no chat template"):
        source_lengths(tmp_path, "toy", "mine", PromptSettings(template="chat"))


def test_four_hundred_tasks_take_less_than_two_seconds(arc: Path) -> None:
    began = time.process_time()
    found = source_lengths(arc, "arc1/training", EMBEDDED, FULL)
    assert time.process_time() - began < 2 * slowness()
    assert (len(found.tokens), found.left_out) == (400, 0)
    fits = [found.fitting(window) or 0 for window in WINDOWS]
    assert 0.1 < fits[0] < fits[1] < fits[2] < fits[3] <= fits[4] <= 1


def test_lengths_are_kept_until_the_tasks_change(tmp_path: Path) -> None:
    info = SourceInfo("toy", "", "", "", "")
    store_source(tmp_path, info, [task_of("a", 1)])
    counted: list[int] = []

    def progress(_what: str, done: int, _total: int | None) -> None:
        counted.append(done)

    assert source_lengths(tmp_path, "toy", EMBEDDED, PLAIN, progress).tokens == (13,)
    assert source_lengths(tmp_path, "toy", EMBEDDED, PLAIN, progress).tokens == (13,)
    assert counted == [1]
    (kept,) = (tmp_path / "data" / ".cache" / "lengths").iterdir()
    kept.write_text("{")
    assert source_lengths(tmp_path, "toy", EMBEDDED, PLAIN, progress).tokens == (13,)
    store_source(tmp_path, info, [task_of("a", 1), task_of("b", 2)])
    assert source_lengths(tmp_path, "toy", EMBEDDED, PLAIN, progress).tokens == (13, 13 + 4 * 4)
    assert counted == [1, 1, 1, 2]


def test_a_reversed_source_follows_its_flags(arc: Path, tmp_path: Path) -> None:
    store_source(tmp_path, SourceInfo("toy", "", "", "", ""), [task_of("a", 2), uneven("b"), uneven("c")])
    add_flag(tmp_path, "b", "toy", "yes", "me")
    assert len(source_lengths(tmp_path, "reversed:toy", EMBEDDED, PLAIN).tokens) == 1
    add_flag(tmp_path, "c", "toy", "yes", "me")
    assert len(source_lengths(tmp_path, "reversed:toy", EMBEDDED, PLAIN).tokens) == 2


def uneven(task_id: str) -> Task:
    pairs = [Pair(square(2, n), square(3, n + 1)) for n in (1, 3)]
    return Task(task_id, "toy", task_id, (pairs[0],), (pairs[1],))


def test_tasks_without_a_known_output_are_left_out_and_nothing_is_unknown_not_zero(tmp_path: Path) -> None:
    store_source(tmp_path, SourceInfo("toy", "", "", "", ""), [task_of("a", 1, known=False)])
    found = source_lengths(tmp_path, "toy", EMBEDDED, PLAIN)
    assert (found.tokens, found.left_out, found.median, found.longest) == ((), 1, None, None)
    assert found.record()["fits_1024"] is None


def test_shares_and_medians() -> None:
    found = Lengths("s", EMBEDDED, ("a", "b", "c", "d"), (1024, 10, 1025, 9000))
    assert (found.fitting(1024), found.fitting(8192), found.median) == (0.5, 0.75, 1024.5)
    assert found.longest == ("d", 9000)


def test_the_verb_gives_flat_records_and_a_table(arc: Path) -> None:
    records = json.loads(printed(arc, "data", "lengths", "arc1", "--json"))
    assert [one["source"] for one in records] == ["arc1/evaluation", "arc1/training"]
    assert list(records[1]) == [
        *("source", "model", "samples", "left_out", "median", "longest", "longest_task"),
        *(f"fits_{window}" for window in (1024, 2048, 4096, 8192, 16384)),
    ]
    table = printed(arc, "data", "lengths", "arc1")
    assert "≤ 16,384" in table
    assert f"{100 * records[1]['fits_1024']:.1f} %" in table
