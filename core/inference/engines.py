"""Engines: prompts in, completions out, as they finish.

An engine is opened once for a base model (or a fully trained one) with the adapters that it shall serve,
and asked for completions of many prompts, each by the model as it is or by one of the adapters. vLLM is
the engine of choice; transformers serves machines on which vLLM does not run. Both get the same tokens
and give the same record.

vLLM seeds `random`, `numpy` and `torch` globally when it starts. Nothing here or elsewhere depends on
global seeds: sampling is seeded for each request.
"""

from collections.abc import Sequence
from pathlib import Path

from core.inference.requests import Engine
from core.inference.settings import InferenceSettings


def open_engine(settings: InferenceSettings, model: str, adapters: Sequence[Path] = ()) -> Engine:
    """The engine that the settings name, with a model (folder or hub name) and the adapters to serve.

    Raises `UserError` where the model can't be served or memory does not suffice.
    """
    if settings.engine == "vllm":
        from core.inference.vllm_engine import VllmEngine

        return VllmEngine(settings, model, adapters)
    from core.inference.transformers_engine import TransformersEngine

    return TransformersEngine(settings, model)
