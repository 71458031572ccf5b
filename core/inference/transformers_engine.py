"""`generate` of transformers, in batches of prompts of similar length, padded on the left.

An adapter is merged into the model when its first request comes, so any kind is served, one after another.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.inference.adapters import check_adapter, load_merged
from core.inference.constrained_decoding import AllowedTokens, grammar_compiler
from core.inference.requests import Completion, Request
from core.inference.sampling import TokenChoice
from core.inference.settings import InferenceSettings
from core.machine.allocator import keep_freed_memory, release_memory
from core.prompts.vocabulary import load_tokenizer
from core.storage.models import is_out_of_memory

MOST_LOGITS = 2**28
"""Logits that are made at once where answers are scored: a gigabyte in float32."""
BATCHES_SORTED = 64
"""So many batches of requests are sorted by length before they are answered."""

Numbered = tuple[int, Request]


class TransformersEngine:
    """A model of transformers with, at any moment, at most one adapter merged into it."""

    name = "transformers"

    def __init__(self, settings: InferenceSettings, model: str) -> None:
        import torch
        import transformers

        self.version = str(transformers.__version__)
        self.settings = settings
        self._compiler: Any = None
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        keep_freed_memory()
        self.load(model)
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and settings.max_model_len > context:
            raise UserError(
                f"The context of '{model}' is {context} tokens, and inference.max_model_len is"
                f" {settings.max_model_len}. Lower it."
            )

    def load(self, model: str) -> bool:
        """Answer by another model from now on; any can be loaded."""
        self._location = model
        self._tokenizer = load_tokenizer(model)
        self._use(None)
        return True

    def _use(self, adapter: Path | None) -> None:
        """Answer with this adapter from now on. The base is loaded anew, because subtracting what was
        merged would leave rounding errors."""
        import torch
        from transformers import GenerationConfig

        usual = "float32" if self._device == "cpu" else "bfloat16"
        dtype = getattr(torch, usual if self.settings.precision == "auto" else self.settings.precision)
        with _enough_memory():
            self._model: Any = load_merged(self._location, adapter, dtype=dtype).to(self._device).eval()
        self._adapter = adapter
        self._ends = _end_tokens(self._model, int(self._tokenizer.eos_token_id))
        pad = self._tokenizer.pad_token_id
        # A model's own generation settings (penalties, top-k) would override the requested ones.
        self._model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=sorted(self._ends),
            pad_token_id=self._tokenizer.eos_token_id if pad is None else pad,
        )

    @property
    def dtype(self) -> str:
        """What the model is computed in."""
        return str(self._model.dtype).removeprefix("torch.")

    def close(self) -> None:
        """Free the memory that the model holds."""
        self._model = None
        release_memory()

    def prepare(self, adapter: Path) -> None:
        """Raise `UserError` where an adapter can't be read."""
        check_adapter(adapter)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Completions, a batch of similar lengths after the other."""
        size = self.settings.at_once
        for (adapter, answered), group in groupby(enumerate(requests), key=_kind):
            while chunk := list(islice(group, BATCHES_SORTED * size)):
                if adapter != self._adapter:
                    self._use(adapter)
                chunk.sort(key=lambda numbered: len(numbered[1].tokens))
                for start in range(0, len(chunk), size):
                    with _enough_memory():
                        batch = chunk[start : start + size]
                        answers = self._score(batch) if answered else self._batch(batch)
                    yield from answers

    def _padded(self, rows: list[list[int]]) -> tuple[Any, Any]:
        """Tokens and mask of shape (rows, longest), padded on the left."""
        import torch

        longest = max(map(len, rows))
        tokens = torch.full((len(rows), longest), self._model.generation_config.pad_token_id)
        mask = torch.zeros_like(tokens)
        for place, row in enumerate(rows):
            tokens[place, longest - len(row) :] = torch.tensor(row)
            mask[place, longest - len(row) :] = 1
        return tokens.to(self._device), mask.to(self._device)

    def _score(self, batch: list[Numbered]) -> list[Completion]:
        """The log-probabilities of given answers. Logits are made for the answers alone, a few rows at a
        time where the vocabulary is large."""
        import torch

        found = []
        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        kept = max(len(request.answer) for _, request in batch) + 1
        at_once = max(1, MOST_LOGITS // (kept * vocabulary))
        for start in range(0, len(batch), at_once):
            some = batch[start : start + at_once]
            tokens, mask = self._padded([[*one.tokens, *one.answer] for _, one in some])
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            with torch.inference_mode():
                logits = self._model(
                    input_ids=tokens, attention_mask=mask, position_ids=positions, logits_to_keep=kept
                ).logits
            values = logits[:, :-1].float().log_softmax(-1)
            chosen = values.gather(-1, tokens[:, -(kept - 1) :, None])[..., 0]
            found += [
                Completion(index, "", 0, "stop", float(chosen[place, -len(one.answer) :].sum()))
                for place, (index, one) in enumerate(some)
            ]
        return found

    def _batch(self, batch: list[Numbered]) -> list[Completion]:
        import torch

        rows = [request for _, request in batch]
        tokens, mask = self._padded([row.tokens for row in rows])
        longest = tokens.shape[1]
        processors: list[Any] = []
        if any(row.grammar for row in rows):
            processors.append(self._allowed([row.grammar for row in rows], longest))
        most = max(row.alternatives for row in rows)
        seeds = [row.seed for row in rows]
        choice = TokenChoice(seeds, self.settings.temperature, self.settings.top_p, most)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=tokens,
                attention_mask=mask,
                max_new_tokens=max(row.max_output_tokens for row in rows),
                use_cache=True,  # a training's own model says it goes without
                logits_processor=[*processors, choice],
            )
        logprobs = choice.logprobs(output)
        found = [
            self._read(index, output[place, longest:].tolist()[: row.max_output_tokens], logprobs[place])
            for place, (index, row) in enumerate(batch)
        ]
        if not most:
            return found
        return [
            replace(one, alternatives=choice.likeliest(place, one.output_tokens))
            for place, one in enumerate(found)
        ]

    def _allowed(self, grammars: list[str | None], prompt: int) -> AllowedTokens:
        if self._compiler is None:
            size = self._model.get_output_embeddings().weight.shape[0]
            self._compiler = grammar_compiler(self._tokenizer, size, sorted(self._ends))
        return AllowedTokens(self._compiler, grammars, prompt)

    def _read(self, index: int, tokens: list[int], logprobs: Any) -> Completion:
        count = next((place for place, token in enumerate(tokens, 1) if token in self._ends), None)
        kept = tokens[:count]
        text = str(self._tokenizer.decode(kept, skip_special_tokens=True))
        logprob = float(logprobs[: len(kept)].sum().item())
        reason = "length" if count is None else "stop"
        return Completion(index, text, len(kept), reason, logprob, tuple(kept))


def _kind(numbered: Numbered) -> tuple[Path | None, bool]:
    """What requests of one batch have in common: the adapter, and whether an answer is given."""
    return numbered[1].adapter, bool(numbered[1].answer)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Too little memory becomes a sentence that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(
            "The device has too little memory. Lower inference.max_concurrent or inference.max_model_len,"
            " or choose a smaller base_model."
        ) from problem


def _end_tokens(model: Any, end: int) -> set[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model names itself."""
    named = model.generation_config.eos_token_id
    return {end, *([] if named is None else named if isinstance(named, list) else [named])}
