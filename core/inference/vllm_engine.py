"""vLLM in this process, on GPU or CPU, with any number of adapters on one base model.

Requests are handed over a window at a time, so that prompts are made while others are answered and memory
does not grow with the evaluation.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.inference.adapters import adapter_rank
from core.inference.requests import Completion, Request
from core.inference.search import alternatives_of
from core.inference.settings import InferenceSettings
from core.inference.vllm_cpu_adapters import multiply_by_adapter
from core.machine.allocator import keep_freed_memory, release_memory
from core.prompts.vocabulary import load_tokenizer
from core.storage.models import are_alike, leave_out_unneeded, reads_generation, unreadable

ADAPTERS_PER_BATCH = 2
"""Requests come adapter by adapter, so a batch rarely holds more, and each place costs memory."""
WINDOW = 4
"""Requests that wait in the engine, as a multiple of those that run at the same time."""


class VllmEngine:
    """One engine of vLLM in this process; `library` is the `LLM` underneath, None once it is closed."""

    name = "vllm"

    def __init__(self, settings: InferenceSettings, model: str, adapters: Sequence[Path] = ()) -> None:
        on_gpu = _made_ready(settings)
        vllm = _imported()
        self.version = str(vllm.__version__)
        self.settings = settings
        options = _options(settings, on_gpu=on_gpu) | _lora_options(adapters)
        if not reads_generation(model):
            options["generation_config"] = "vllm"  # its own defaults
        self._model = model
        self._numbers = {adapter: number for number, adapter in enumerate(adapters, 1)}
        try:
            self.library: Any = vllm.LLM(model=model, **options)
        except (ValueError, RuntimeError, OSError) as problem:
            raise UserError(
                f"vLLM can't serve '{model}' ({_reason(problem)}). Lower inference.max_model_len, give keys"
                " and values what they need with inference.kv_cache_gigabytes, or set inference.engine to"
                " 'transformers'."
            ) from problem
        self._tokenizer: Any = self.library.get_tokenizer()
        configuration = self.library.llm_engine.vllm_config
        self.dtype = str(configuration.model_config.dtype).removeprefix("torch.")
        self._at_once = int(configuration.scheduler_config.max_num_seqs)
        self._vocabulary = int(configuration.model_config.get_vocab_size())

    def close(self) -> None:
        """Shut the engine down and free the memory that it holds; a GPU has none left for a second one."""
        if self.library is not None:
            self.library.llm_engine.engine_core.shutdown()
            self.library = None
            release_memory()

    def load(self, model: str) -> bool:
        """Answer by another model from now on, if it differs from this one in its weights and in the names of
        its tokens alone: its weights take the place of these. Where adapters are served, none is loaded."""
        if self._numbers or not are_alike(self._model, model):
            return False
        try:
            self.library.collective_rpc("reload_weights", kwargs={"weights_path": model})
            self.library.apply_model(_pack_head)
        except Exception as problem:  # vLLM, torch and safetensors have errors of their own
            raise unreadable("model", model, problem) from problem
        self.library.reset_prefix_cache()
        self._model, self._tokenizer = model, load_tokenizer(model)
        return True

    def prepare(self, adapter: Path) -> None:
        """Load an adapter. Raises `UserError` where vLLM refuses it."""
        try:
            self.library.llm_engine.add_lora(self._lora(adapter))
        except Exception as problem:  # vLLM, torch and safetensors have errors of their own
            raise unreadable("adapter", str(adapter), problem) from problem

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Completions as they finish. Requests that nobody waits for any more are given up.

        The model as it is and its adapters are never asked in one batch: vLLM's CPU kernels take the row
        -1, which stands for no adapter, as the last adapter's.
        """
        count = 0
        for _, group in groupby(requests, key=lambda request: request.adapter is None):
            for completion in self._complete(group, count):
                yield completion
                count = max(count, completion.index + 1)

    def _complete(self, waiting: Iterator[Request], count: int) -> Iterator[Completion]:
        """Completions of requests that may share batches, numbered from `count` on."""
        engine = self.library.llm_engine
        indices: dict[str, tuple[int, Request]] = {}
        most = WINDOW * self._at_once
        try:
            while True:
                if 2 * len(indices) <= most:
                    fresh = list(islice(waiting, most - len(indices)))
                    named = zip(self._enqueue(fresh), fresh, strict=True)
                    indices |= {name: (count + at, request) for at, (name, request) in enumerate(named)}
                    count += len(fresh)
                if not indices:
                    return
                for output in engine.step():
                    if output.finished:
                        yield self._completion(*indices.pop(str(output.request_id)), output)
        finally:
            engine.abort_request(list(indices))

    def _enqueue(self, requests: Sequence[Request]) -> list[str]:
        """Hand requests over; the names under which their outputs come."""
        if not requests:
            return []
        parameters = [self._parameters(request) for request in requests]
        prompts: list[Any] = [{"prompt_token_ids": [*one.tokens, *one.answer]} for one in requests]
        loras: Any = [
            None if request.adapter is None else self._lora(request.adapter) for request in requests
        ]
        names = self.library.enqueue(prompts, parameters, lora_request=loras, use_tqdm=False)
        # The names come back as "<number>-<random>", outputs carry the number alone.
        return [str(name).partition("-")[0] for name in names]

    def _parameters(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        if request.answer:
            return SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        return SamplingParams(
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            max_tokens=request.max_output_tokens,
            seed=request.seed if self.settings.temperature else None,
            logprobs=min(request.alternatives, self._vocabulary),
            flat_logprobs=not request.alternatives,
            detokenize=False,  # it would decode every token once more for its log-probability
            structured_outputs=StructuredOutputsParams(grammar=request.grammar) if request.grammar else None,
        )

    def _completion(self, index: int, request: Request, output: Any) -> Completion:
        if request.answer:
            seen = output.prompt_logprobs[-len(request.answer) :]
            logprob = sum(at[token].logprob for token, at in zip(request.answer, seen, strict=True))
            return Completion(index, "", 0, "stop", float(logprob))
        first = output.outputs[0]
        tokens = list(first.token_ids)
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        logprob = float(first.cumulative_logprob)
        places: tuple[Any, ...] = ()
        if request.alternatives:
            places = tuple(
                tuple((token, float(seen.logprob)) for token, seen in place.items())
                for place in first.logprobs
            )
        reason = first.finish_reason
        return Completion(index, text, len(tokens), reason, logprob, tuple(tokens) if places else (), places)

    def _lora(self, adapter: Path) -> Any:
        from vllm.lora.request import LoRARequest

        return LoRARequest(f"adapter-{self._numbers[adapter]}", self._numbers[adapter], str(adapter))


def _pack_head(model: Any) -> None:
    """Pack the weights of the head anew. vLLM packs them for a CPU when it begins, but not when weights are
    loaded again and the head shares those of the embedding."""
    head = getattr(model, "lm_head", None)
    method = getattr(head, "quant_method", None)
    if method is not None:
        method.process_weights_after_loading(head)


def _made_ready(settings: InferenceSettings) -> bool:
    """Set what vLLM reads of the environment when it is imported; whether there is a GPU."""
    import torch

    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if settings.deterministic:
        os.environ["VLLM_BATCH_INVARIANT"] = "1"
    if torch.cuda.is_available():
        return True
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    keep_freed_memory()
    return False


def _options(settings: InferenceSettings, *, on_gpu: bool) -> dict[str, Any]:
    """What settings make of vLLM's options; what they leave empty is its own choice on a GPU."""
    options: dict[str, Any] = {
        "max_model_len": settings.max_model_len,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "disable_log_stats": True,
        "seed": 0,
    }
    if not on_gpu:
        options |= {
            "dtype": "float32",
            "enforce_eager": True,
            "max_num_seqs": settings.at_once,
            "kv_cache_memory_bytes": 2**30,
            # A prompt that is read in pieces sets back its generator, which those of CPUs can't.
            "enable_chunked_prefill": not settings.temperature,
        }
    if settings.precision != "auto":
        options["dtype"] = settings.precision
    if settings.max_concurrent is not None:
        options["max_num_seqs"] = settings.max_concurrent
    if settings.kv_cache_gigabytes is not None:
        options["kv_cache_memory_bytes"] = int(settings.kv_cache_gigabytes * 2**30)
    if settings.gpu_memory_share is not None and on_gpu:
        options["gpu_memory_utilization"] = settings.gpu_memory_share
    if settings.search is not None:
        options |= {"enable_prefix_caching": True, "max_logprobs": alternatives_of(settings.search)}
    return options


def _lora_options(adapters: Sequence[Path]) -> dict[str, Any]:
    """What adapters need; nothing where there are none. Raises `UserError` where one has too high a rank."""
    if not adapters:
        return {}
    multiply_by_adapter()
    return {
        "enable_lora": True,
        "max_lora_rank": max(served_rank(adapter_rank(adapter)) for adapter in adapters),
        "max_loras": min(len(adapters), ADAPTERS_PER_BATCH),
    }


def _imported() -> Any:
    """vLLM. It is imported by a function of its own, whose frames hold no engine."""
    leave_out_unneeded()
    try:
        import vllm
    except ImportError as problem:
        raise UserError(
            f"vLLM can't be loaded ({problem}). Run: make setup, or set inference.engine to 'transformers'."
        ) from problem
    return vllm


def served_rank(rank: int) -> int:
    """The smallest rank of vLLM's that holds an adapter of this rank. Raises `UserError` if none does."""
    from typing import get_args

    from vllm.config.lora import MaxLoRARanks

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
