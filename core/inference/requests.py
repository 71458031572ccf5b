"""What an engine is given and what it gives back: requests, completions, and the engine's protocol."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One prompt. `seed` matters where the temperature is above 0; without `adapter` the model answers.
    With a `grammar` (EBNF of xgrammar) only what it derives can be written. With an `answer` nothing is
    written: the completion's `logprob` is that of these tokens after the prompt. With `alternatives` the
    completion tells its tokens and, at each place, so many of the likeliest."""

    tokens: list[int]
    max_output_tokens: int
    seed: int
    adapter: Path | None = None
    grammar: str | None = None
    answer: tuple[int, ...] = ()
    alternatives: int = 0


@dataclass(frozen=True)
class Completion:
    """What came of request number `index`. `logprob` sums over generated tokens; `finish_reason` is
    'stop' (end token) or 'length' (cut at the limit). Where the request asks for alternatives, `tokens` are
    the generated ones, the end included, and `alternatives` the (token, log-probability) pairs at each place,
    the generated one among them."""

    index: int
    text: str
    output_tokens: int
    finish_reason: str
    logprob: float
    tokens: tuple[int, ...] = ()
    alternatives: tuple[tuple[tuple[int, float], ...], ...] = ()


class Engine(Protocol):
    """What both engines can do."""

    name: str
    version: str

    @property
    def dtype(self) -> str:
        """What the model is computed in, such as "bfloat16"."""
        ...

    def prepare(self, adapter: Path) -> None:
        """Make an adapter ready. Raises `UserError` where it can't be loaded; the others are served on."""
        ...

    def load(self, model: str) -> bool:
        """Answer by another model from now on, if it has the shape of this one and no adapter is served; else
        False, and nothing has changed. Raises `UserError` where its weights can't be read."""
        ...

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Completions in the order in which they finish; `index` counts requests as they were drawn.

        Requests are drawn when there is room for them, so they may be made while others are answered.
        Those of one adapter should follow each other.
        """
        ...

    def close(self) -> None:
        """Free the memory that the model holds; nothing can be answered any more."""
        ...
