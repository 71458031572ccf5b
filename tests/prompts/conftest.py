"""A tokenizer for the tests of this room."""

import pytest
from transformers import PreTrainedTokenizerFast

from core.prompts.vocabulary import embedded_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return embedded_tokenizer()
