"""Adapters at inference: which of them vLLM can serve beside a base model, and which must be merged into it.

vLLM multiplies with the two low-rank factors and nothing else. Whatever goes beyond that (DoRA's magnitudes,
initialisations that change the base, trained embeddings, biases) is refused there, so such an adapter is
merged: base and adapter become one model, which is served as a fully trained one is.
"""

import logging
from pathlib import Path
from typing import Any

from core.errors import panics_as_errors
from core.modeling.vocabulary_rows import grow_vocabulary
from core.prompts.vocabulary import load_tokenizer
from core.storage.files import writing
from core.storage.json_records import Count, Record, Text, read_as
from core.storage.models import is_out_of_memory, load_model, unreadable

log = logging.getLogger(__name__)

MOST_RANK = 512
_PLAIN_STARTS = ("gaussian", "eva", "orthogonal")
_REFUSED = {
    "use_dora": "DoRA's magnitudes",
    "lora_bias": "biases of the factors",
    "modules_to_save": "fully trained layers",
    "layer_replication": "repeated layers",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "adapted parameters outside of layers",
    "alora_invocation_tokens": "an invocation",
}


class _AdapterConfig(Record):
    """What is read of an adapter's `adapter_config.json`."""

    r: Count
    rank_pattern: dict[str, Count] | None = None
    init_lora_weights: bool | Text | None = None
    bias: Text = "none"


def adapter_rank(adapter: Path) -> int:
    """The largest rank of an adapter's layers. Raises `UserError` where its settings can't be read."""
    settings = _settings(adapter)
    return int(max(settings["r"], *(settings.get("rank_pattern") or {}).values(), 1))


def check_adapter(adapter: Path) -> None:
    """Raise `UserError` where an adapter's settings or the list of its weights can't be read."""
    _settings(adapter)
    _weight_names(adapter)


def reason_to_merge(adapter: Path) -> str | None:
    """Why vLLM can't serve the adapter beside its base, in words; None where it can.

    Looks at settings and names of weights only. Raises `UserError` where they can't be read.
    """
    settings = _settings(adapter)
    for name, what in _REFUSED.items():
        if settings.get(name):
            return f"it has {what}, which vLLM does not serve"
    if settings.get("bias", "none") != "none":
        return "it has trained biases, which vLLM does not serve"
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        return f"its start ({start}) changes the base model, which vLLM does not follow"
    if adapter_rank(adapter) > MOST_RANK:
        return f"its rank is above {MOST_RANK}, vLLM's highest"
    unusual = [name for name in _weight_names(adapter) if not _is_plain_factor(name)]
    return f"vLLM serves no adapted '{unusual[0]}'" if unusual else None


def has_tokens(adapter: Path) -> bool:
    """Whether an adapter brings vectors of tokens, and with them the tokenizer that knows them."""
    return bool(_settings(adapter).get("trainable_token_indices")) and (adapter / "tokenizer.json").is_file()


def _is_plain_factor(name: str) -> bool:
    """Whether a weight is a factor of an ordinary linear layer; those of embeddings need vocabularies that
    vLLM likes."""
    layer = name.rpartition(".lora_")[0]
    return name.endswith((".lora_A.weight", ".lora_B.weight")) and not layer.endswith(
        ("embed_tokens", "lm_head")
    )


def _weight_names(adapter: Path) -> list[str]:
    from safetensors import safe_open

    try:
        with (
            panics_as_errors(),
            safe_open(adapter / "adapter_model.safetensors", framework="numpy") as file,
        ):
            return sorted(file.keys())
    except Exception as problem:  # safetensors has an error of its own
        raise unreadable("adapter", str(adapter), problem) from problem


def _settings(adapter: Path) -> dict[str, Any]:
    remedy = f"{adapter} holds no LoRA adapter. Delete it and launch again to train it anew."
    return read_as(adapter / "adapter_config.json", _AdapterConfig, remedy).model_dump(exclude_unset=True)


def load_merged(model: str, adapter: Path | None, **options: Any) -> Any:
    """A model with an adapter merged into its weights, or the model alone; `options` as for `load_model`.

    Raises `UserError` where one of them can't be read.
    """
    loaded = load_model(model, **options)
    if adapter is None:
        return loaded
    from peft import PeftModel

    try:
        if has_tokens(adapter):
            grow_vocabulary(loaded, len(load_tokenizer(str(adapter))))
        with panics_as_errors():
            adapted = PeftModel.from_pretrained(loaded, adapter)
        _untie(loaded)
        return adapted.merge_and_unload()
    except Exception as problem:  # each library has errors of its own for a damaged file
        if is_out_of_memory(problem):
            raise
        raise unreadable("adapter", str(adapter), problem) from problem


def _untie(adapted: Any) -> None:
    """Give the head weights of its own where it shares the embedding's and one of the two is adapted: what is
    merged into the one would change the other."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    embedding, head = adapted.get_input_embeddings(), adapted.get_output_embeddings()
    if head is None or not any(isinstance(layer, BaseTunerLayer) for layer in (embedding, head)):
        return
    inner: Any = head.get_base_layer() if isinstance(head, BaseTunerLayer) else head
    inner.weight = torch.nn.Parameter(inner.weight.detach().clone(), requires_grad=False)
    adapted.config.get_text_config().tie_word_embeddings = False


def write_merged(model: str, adapter: Path, target: Path) -> Path:
    """Write base and adapter as one model folder with the base's tokenizer, unless it is there; `target`."""
    if not target.exists():
        log.info("Merging %s into %s.", adapter, model)
        merged = load_merged(model, adapter, dtype="auto")
        with writing(target) as temporary:
            merged.save_pretrained(temporary)
            load_tokenizer(str(adapter) if has_tokens(adapter) else model).save_pretrained(temporary)
    return target
