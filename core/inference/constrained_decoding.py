"""Answers under a grammar in the transformers engine, by the automaton that vLLM uses (xgrammar).

Tokens that the grammar does not continue with get the logit -inf before one is chosen, so the
log-probability of an answer is that among the allowed tokens, as vLLM counts it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


def grammar_compiler(tokenizer: "PreTrainedTokenizerBase", logits: int, ends: Sequence[int]) -> Any:
    """What turns EBNF into an automaton over the tokens of a model with so many logits.

    Raises `UserError` where xgrammar is not installed (it comes with vLLM).
    """
    try:
        import xgrammar
    except ImportError as problem:
        raise UserError(
            "Forcing answers to be grids needs xgrammar. Run: pip install xgrammar,"
            " or set inference.only_grids to false."
        ) from problem

    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=logits, stop_token_ids=list(ends))
    return xgrammar.GrammarCompiler(info)


class AllowedTokens:
    """A logits processor that follows each row's answer through its grammar (None: anything goes)."""

    def __init__(self, compiler: Any, grammars: Sequence[str | None], prompt: int) -> None:
        import xgrammar

        self._prompt = prompt
        self._rows = [
            None if grammar is None else xgrammar.GrammarMatcher(compiler.compile_grammar(grammar))
            for grammar in grammars
        ]

    def __call__(self, tokens: "torch.Tensor", logits: "torch.Tensor") -> "torch.Tensor":
        """Logits of shape (rows, vocabulary), -inf where the grammar forbids a token."""
        import xgrammar

        constrained = []
        mask = xgrammar.allocate_token_bitmask(*logits.shape)
        for place, row in enumerate(self._rows):
            if row is None or row.is_terminated():
                continue
            if tokens.shape[1] > self._prompt:
                row.accept_token(int(tokens[place, -1]))
            if not row.is_terminated():
                row.fill_next_token_bitmask(mask, place)
                constrained.append(place)
        logits = logits.clone()
        if constrained:
            xgrammar.apply_token_bitmask_inplace(logits, mask.to(logits.device), indices=constrained)
        return logits
