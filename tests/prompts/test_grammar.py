"""The grammar derives exactly the grids that reading accepts."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.prompts.encoders import GridEncoding, grid_to_text, text_to_grid
from core.prompts.grammar import grid_grammar
from core.prompts.vocabulary import CHARACTERS, EOS, VOCABULARY, embedded_tokenizer

xgrammar = pytest.importorskip("xgrammar")
TOKENIZER = embedded_tokenizer()
ENCODINGS = [
    GridEncoding(shape_header=header, row_numbers=numbers, cell_separator=separator)
    for header, numbers, separator in itertools.product((False, True), (False, True), ("none", "space"))
]
COMPILER = xgrammar.GrammarCompiler(
    xgrammar.TokenizerInfo.from_huggingface(TOKENIZER, vocab_size=len(VOCABULARY))
)


def derives(text: str, encoding: GridEncoding) -> bool:
    matcher = xgrammar.GrammarMatcher(COMPILER.compile_grammar(grid_grammar(encoding)))
    tokens = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    return all(matcher.accept_token(token) for token in [*tokens, EOS]) and matcher.is_terminated()


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (30, 30), (1, 30), (11, 10)])
def test_every_grid_is_derived(encoding: GridEncoding, shape: tuple[int, int]) -> None:
    grid = np.random.default_rng(0).integers(0, 10, shape).astype(np.uint8)
    assert derives(grid_to_text(grid, encoding), encoding)


@settings(max_examples=150)
@given(st.sampled_from(ENCODINGS), st.integers(1, 12), st.integers(1, 12), st.data())
def test_a_spoilt_grid_is_derived_where_it_is_read(
    encoding: GridEncoding, height: int, width: int, data: st.DataObject
) -> None:
    """One character of a grid's text removed, doubled or replaced."""
    grid = np.random.default_rng(height * width).integers(0, 10, (height, width)).astype(np.uint8)
    text = grid_to_text(grid, encoding)
    place = data.draw(st.integers(0, len(text) - 1))
    spoilt = text[:place] + data.draw(st.sampled_from(["", text[place] * 2, *CHARACTERS])) + text[place + 1 :]
    wanted = text_to_grid(spoilt, encoding) is not None and spoilt == spoilt.strip()
    assert derives(spoilt, encoding) is wanted


@pytest.mark.parametrize("shape", [(31, 2), (2, 31)])
def test_grids_beyond_the_limit_are_not_derived(shape: tuple[int, int]) -> None:
    grid = np.zeros(shape, dtype=np.uint8)
    assert [derives(grid_to_text(grid, encoding), encoding) for encoding in ENCODINGS] == [False] * 8
