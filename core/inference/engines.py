"""Engines: prompts in, completions out, as they finish.

An engine is opened once for a base model (or a fully trained one) with the adapters that it shall serve,
and asked for completions of many prompts, each by the model as it is or by one of the adapters. vLLM is
the engine of choice; transformers serves machines on which vLLM does not run. Both get the same tokens
and give the same record.

vLLM seeds `random`, `numpy` and `torch` globally when it starts. Nothing here or elsewhere depends on
global seeds: sampling is seeded for each request.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.inference.settings import InferenceSettings


@dataclass(frozen=True)
class Request:
    """One prompt. `seed` matters where the temperature is above 0; without `adapter` the model answers.
    With a `grammar` (EBNF of xgrammar) only what it derives can be written. With an `answer` nothing is
    written: the completion's `logprob` is that of these tokens after the prompt."""

    tokens: list[int]
    max_output_tokens: int
    seed: int
    adapter: Path | None = None
    grammar: str | None = None
    answer: tuple[int, ...] = ()


@dataclass(frozen=True)
class Completion:
    """What came of request number `index`. `logprob` sums over generated tokens; `finish_reason` is
    'stop' (end token) or 'length' (cut at the limit)."""

    index: int
    text: str
    output_tokens: int
    finish_reason: str
    logprob: float


class Engine(Protocol):
    """What both engines can do."""

    name: str
    version: str

    def prepare(self, adapter: Path) -> None:
        """Make an adapter ready. Raises `UserError` where it can't be loaded; the others are served on."""
        ...

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Completions in the order in which they finish; `index` counts requests as they were drawn.

        Requests are drawn when there is room for them, so they may be made while others are answered.
        Those of one adapter should follow each other.
        """
        ...


def open_engine(settings: InferenceSettings, model: str, adapters: Sequence[Path] = ()) -> Engine:
    """The engine that the settings name, with a model (folder or hub name) and the adapters to serve.

    Raises `UserError` where the model can't be served or memory does not suffice.
    """
    if settings.engine == "vllm":
        from core.inference.vllm_engine import VllmEngine

        return VllmEngine(settings, model, adapters)
    from core.inference.transformers_engine import TransformersEngine

    return TransformersEngine(settings, model)
