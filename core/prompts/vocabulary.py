"""The tokenizer of the embedded models: one token per character, 32 tokens in all.

It is an ordinary `tokenizer.json`, so transformers and vLLM load it like any other.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ["<pad>", "<bos>", "<eos>"]
CHARACTERS = list("0123456789\nIO x,:|;.#+-=>?()/")
VOCABULARY = SPECIAL + CHARACTERS
PAD, BOS, EOS = range(3)


def embedded_tokenizer() -> "PreTrainedTokenizerFast":
    """A character tokenizer that puts `<bos>` before a prompt."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", BOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )
