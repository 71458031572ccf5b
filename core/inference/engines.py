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
from core.inference.settings import InferenceSettings
from core.prompts.vocabulary import load_tokenizer
from core.storage.files import read_json


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
        import vllm
        from vllm import LLM
        from vllm.lora.request import LoRARequest

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
            rank = int(read_json(adapter / "adapter_config.json")["r"])
            options |= {"enable_lora": True, "max_lora_rank": max(8, rank)}
        try:
            self._llm = LLM(model=model, **options)
        except (ValueError, RuntimeError, OSError) as problem:
            reason = str(problem).strip().split("\n")[0]
            raise UserError(
                f"vLLM can't serve '{model}' ({reason}). Lower inference.max_model_len or"
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
        from transformers import AutoModelForCausalLM

        self.version = str(transformers.__version__)
        self.settings = settings
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if self._device == "cpu" else torch.bfloat16
        try:
            self._tokenizer = load_tokenizer(model)
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                model, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError) as problem:
            reason = str(problem).strip().split("\n")[0]
            raise UserError(
                f"'{model}' can't be loaded ({reason}). Check the folder or the name."
            ) from problem
        if adapter is not None:
            from peft import PeftModel

            self._model = PeftModel.from_pretrained(self._model, adapter).merge_and_unload()
        self._model.to(self._device).eval()

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        order = sorted(range(len(requests)), key=lambda index: len(requests[index].tokens))
        size = self.settings.max_concurrent
        for start in range(0, len(order), size):
            yield from self._batch(requests, order[start : start + size])

    def _batch(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Completion]:
        import torch

        pad = self._tokenizer.pad_token_id
        end = self._tokenizer.eos_token_id
        longest = max(len(requests[index].tokens) for index in indices)
        tokens = torch.full((len(indices), longest), end if pad is None else pad)
        for row, index in enumerate(indices):
            tokens[row, longest - len(requests[index].tokens) :] = torch.tensor(requests[index].tokens)
        lengths = torch.tensor([len(requests[index].tokens) for index in indices])
        mask = torch.arange(longest)[None, :] >= (longest - lengths)[:, None]
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.inference_mode():
            torch.manual_seed(requests[indices[0]].seed)
            output = self._model.generate(
                input_ids=tokens.to(self._device),
                attention_mask=mask.to(self._device),
                max_new_tokens=max(requests[index].max_output_tokens for index in indices),
                pad_token_id=end if pad is None else pad,
                eos_token_id=end,
                return_dict_in_generate=True,
                output_logits=True,
                **self._sampling(),
            )
        logprobs = torch.stack(output.logits, dim=1).float().log_softmax(-1)
        generated = output.sequences[:, longest:]
        chosen = logprobs.gather(2, generated[:, :, None])[:, :, 0].cpu()
        for row, index in enumerate(indices):
            yield self._read(
                index, generated[row].tolist(), chosen[row], requests[index].max_output_tokens, end
            )

    def _sampling(self) -> dict[str, Any]:
        if not self.settings.temperature:
            return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        return {
            "do_sample": True,
            "temperature": self.settings.temperature,
            "top_p": self.settings.top_p,
            "top_k": 0,
        }

    def _read(self, index: int, tokens: list[int], logprobs: Any, limit: int, end: int) -> Completion:
        tokens = tokens[:limit]
        stopped = end in tokens
        count = tokens.index(end) + 1 if stopped else len(tokens)
        text = str(self._tokenizer.decode(tokens[:count], skip_special_tokens=True))
        return Completion(
            index, text, count, "stop" if stopped else "length", float(logprobs[:count].sum().item())
        )
