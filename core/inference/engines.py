"""Engines: prompts in, completions out, as they finish.

An engine is opened once for a base model (or a fully trained one) and asked for completions of many
prompts, each with or without an adapter. vLLM is the engine of choice; transformers serves machines on
which vLLM does not run. Both get the same tokens and give the same record.

vLLM seeds `random`, `numpy` and `torch` globally when it starts. Nothing here or elsewhere depends on
global seeds: sampling is seeded for each request.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.errors import UserError
from core.inference.sampling import TokenChoice
from core.inference.settings import InferenceSettings
from core.prompts.vocabulary import load_tokenizer
from core.storage.files import read_json
from core.storage.models import unreadable


@dataclass(frozen=True)
class Request:
    """One prompt. `seed` matters where the temperature is above 0."""

    tokens: list[int]
    max_output_tokens: int
    seed: int


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

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Completions in the order in which they finish."""
        ...


def open_engine(settings: InferenceSettings, model: str, adapter: Path | None) -> Engine:
    """The engine that the settings name, with a model (folder or hub name) and an optional adapter.

    Raises `UserError` where the model can't be served or memory does not suffice.
    """
    if settings.engine == "vllm":
        return VllmEngine(settings, model, adapter)
    return TransformersEngine(settings, model, adapter)


class VllmEngine:
    """vLLM in this process, on GPU or CPU."""

    name = "vllm"

    def __init__(self, settings: InferenceSettings, model: str, adapter: Path | None) -> None:
        import torch

        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        on_gpu = torch.cuda.is_available()
        if not on_gpu:
            os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
        try:
            import vllm
            from vllm import LLM
            from vllm.lora.request import LoRARequest
        except ImportError as problem:
            raise UserError(
                f"vLLM can't be loaded ({problem}). Run: make setup"
                ", or set inference.engine to 'transformers'."
            ) from problem

        self.version = str(vllm.__version__)
        self.settings = settings
        options: dict[str, Any] = {
            "max_model_len": settings.max_model_len,
            "max_num_seqs": settings.max_concurrent,
            "trust_remote_code": False,
            "disable_log_stats": True,
            "seed": 0,
        }
        if not on_gpu:
            options |= {
                "dtype": "float32",
                "enforce_eager": True,
                "kv_cache_memory_bytes": int(settings.kv_cache_gigabytes * 2**30),
            }
        if adapter is not None:
            options |= {"enable_lora": True, "max_lora_rank": _served_rank(adapter)}
        try:
            self._llm = LLM(model=model, **options)
        except (ValueError, RuntimeError, OSError) as problem:
            raise UserError(
                f"vLLM can't serve '{model}' ({_reason(problem)}). Lower inference.max_model_len or"
                " inference.kv_cache_gigabytes, or set inference.engine to 'transformers'."
            ) from problem
        self._adapter = None if adapter is None else LoRARequest("adapter", 1, str(adapter))

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                temperature=self.settings.temperature,
                top_p=self.settings.top_p,
                max_tokens=request.max_output_tokens,
                seed=request.seed if self.settings.temperature else None,
                logprobs=0,
            )
            for request in requests
        ]
        prompts: list[Any] = [{"prompt_token_ids": request.tokens} for request in requests]
        names = self._llm.enqueue(
            prompts,
            parameters,
            lora_request=self._adapter,
            use_tqdm=False,
        )
        # The names come back as "<number>-<random>", outputs carry the number alone.
        index_of = {str(name).partition("-")[0]: index for index, name in enumerate(names)}
        engine = self._llm.llm_engine
        while engine.has_unfinished_requests():
            outputs: list[Any] = engine.step()
            for output in outputs:
                if output.finished:
                    yield _completion(index_of[str(output.request_id)], output.outputs[0])


def _served_rank(adapter: Path) -> int:
    """The smallest rank of vLLM's that holds the adapter. Raises `UserError` if none does."""
    from typing import get_args

    from vllm.config.lora import MaxLoRARanks

    rank = int(read_json(adapter / "adapter_config.json")["r"])
    served = [one for one in sorted(get_args(MaxLoRARanks)) if one >= max(8, rank)]
    if not served:
        raise UserError(
            f"vLLM serves no adapter of rank {rank}. Lower training.lora.rank, or set inference.engine to"
            " 'transformers'."
        )
    return int(served[0])


def _reason(problem: Exception) -> str:
    """The telling line of an error: where a library checks its settings, the second one tells more."""
    lines = [line.strip() for line in str(problem).strip().split("\n")]
    telling = lines[1] if len(lines) > 1 and "validation error" in lines[0] else lines[0]
    return telling.removeprefix("Value error, ").partition(" [type=")[0]


def _completion(index: int, output: Any) -> Completion:
    return Completion(
        index, output.text, len(output.token_ids), output.finish_reason, float(output.cumulative_logprob)
    )


class TransformersEngine:
    """`generate` of transformers, in batches of prompts of similar length, padded on the left."""

    name = "transformers"

    def __init__(self, settings: InferenceSettings, model: str, adapter: Path | None) -> None:
        import torch
        import transformers
        from transformers import AutoModelForCausalLM, GenerationConfig

        self.version = str(transformers.__version__)
        self.settings = settings
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if self._device == "cpu" else torch.bfloat16
        self._tokenizer = load_tokenizer(model)
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                model, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
        except Exception as problem:  # each library has errors of its own for a damaged file
            raise unreadable("model", model, problem) from problem
        self._model: Any = loaded.to(self._device).eval()
        if adapter is not None:
            self._add(adapter)
        self._ends = _end_tokens(self._model, int(self._tokenizer.eos_token_id))
        pad = self._tokenizer.pad_token_id
        # A model's own generation settings (penalties, top-k) would change what is asked for.
        self._model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=sorted(self._ends),
            pad_token_id=self._tokenizer.eos_token_id if pad is None else pad,
        )

    def _add(self, adapter: Path) -> None:
        from peft import PeftModel

        try:
            self._model = PeftModel.from_pretrained(self._model, adapter).merge_and_unload()
        except Exception as problem:  # each library has errors of its own for a damaged file
            raise unreadable("adapter", str(adapter), problem) from problem

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        order = sorted(range(len(requests)), key=lambda index: len(requests[index].tokens))
        size = self.settings.max_concurrent
        for start in range(0, len(order), size):
            yield from self._batch(requests, order[start : start + size])

    def _batch(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Completion]:
        import torch

        rows = [requests[index] for index in indices]
        longest = max(len(row.tokens) for row in rows)
        tokens = torch.full((len(rows), longest), self._model.generation_config.pad_token_id)
        mask = torch.zeros_like(tokens)
        for place, row in enumerate(rows):
            tokens[place, longest - len(row.tokens) :] = torch.tensor(row.tokens)
            mask[place, longest - len(row.tokens) :] = 1
        choice = TokenChoice([row.seed for row in rows], self.settings.temperature, self.settings.top_p)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=tokens.to(self._device),
                attention_mask=mask.to(self._device),
                max_new_tokens=max(row.max_output_tokens for row in rows),
                logits_processor=[choice],
            )
        logprobs = choice.logprobs(output)
        for place, (index, row) in enumerate(zip(indices, rows, strict=True)):
            generated = output[place, longest:].tolist()[: row.max_output_tokens]
            yield self._read(index, generated, logprobs[place])

    def _read(self, index: int, tokens: list[int], logprobs: Any) -> Completion:
        count = next((place for place, token in enumerate(tokens, 1) if token in self._ends), None)
        kept = tokens[:count]
        text = str(self._tokenizer.decode(kept, skip_special_tokens=True))
        logprob = float(logprobs[: len(kept)].sum().item())
        return Completion(index, text, len(kept), "length" if count is None else "stop", logprob)


def _end_tokens(model: Any, end: int) -> set[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model names itself."""
    named = model.generation_config.eos_token_id
    return {end, *([] if named is None else named if isinstance(named, list) else [named])}
