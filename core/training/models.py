"""Models for training: fresh embedded ones, and any causal language model of transformers.

Weights are read and written as safetensors only, and code that comes with a model is never run.
"""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from core.arc.grids import MAX_SIDE
from core.errors import UserError
from core.modeling.adapted_layers import layers_to_adapt
from core.modeling.grid_positions import grid_positions
from core.prompts.encoders import GridEncoding
from core.prompts.templates import PromptSettings, keep_prompt
from core.prompts.vocabulary import BOS, EOS, PAD, VOCABULARY, embedded_tokenizer
from core.settings import Settings
from core.storage.files import writing
from core.storage.models import leave_out_unneeded, load_model
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class ModelShape(Settings):
    """The shape of a fresh embedded model of Qwen2's architecture."""

    hidden_size: int = Field(128, ge=32, le=2**16, description="Width of the residual stream.")
    layers: int = Field(4, ge=1, le=1000, description="Number of blocks.")
    heads: int = Field(4, ge=1, le=1024, description="Attention heads, each hidden_size / heads wide.")
    mlp_size: int = Field(512, ge=16, le=2**20, description="Width inside each block's MLP.")
    context: int = Field(4096, ge=64, le=2**24, description="Longest sequence in tokens.")
    rope_theta: float = Field(
        10_000.0,
        gt=1,
        le=1e12,
        description="Base of the rotary positions: a lower one tells near places apart better.",
    )
    positions: Literal["row", "grid"] = Field(
        "row",
        description="What rotary positions tell apart. row: places in one row of tokens. grid: columns, rows"
        " and input from output, for pairs on a canvas.",
    )
    canvas: int = Field(
        MAX_SIDE, ge=1, le=MAX_SIDE, description="Side of that canvas: the largest grid that can be read."
    )

    @model_validator(mode="after")
    def _heads_are_served(self) -> "ModelShape":
        """Heads of other widths train, but vLLM has no attention for them on CPU."""
        if self.hidden_size % (32 * self.heads):
            raise ValueError(
                f"heads are a multiple of 32 wide, which {self.hidden_size} / {self.heads} is not"
            )
        return self


def init_model(folder: Path, shape: ModelShape, seed: int) -> int:
    """Write a model with random weights and its character tokenizer to `folder`; its number of weights.

    The weights depend on shape and seed alone. Raises `UserError` where the folder exists.
    """
    import torch

    leave_out_unneeded()
    from transformers import Qwen2Config, Qwen2ForCausalLM

    if folder.exists():
        raise UserError(f"{folder} exists already. Choose another name or delete the folder first.")
    config = Qwen2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.mlp_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        rope_parameters=_rotary(shape),
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    with writing(folder) as temporary:
        model.save_pretrained(temporary)
        embedded_tokenizer().save_pretrained(temporary)
        if shape.positions == "grid":
            encoding = GridEncoding(canvas=shape.canvas)
            keep_prompt(temporary, PromptSettings(template="pair", encoding=encoding))
    return sum(weights.numel() for weights in model.parameters())


def _rotary(shape: ModelShape) -> dict[str, Any]:
    if shape.positions == "row":
        return {"rope_type": "default", "rope_theta": shape.rope_theta}
    return grid_positions(shape.canvas, shape.hidden_size // shape.heads, shape.context)


def load_for_training(
    location: str, settings: TrainingSettings, device: str, dtype: str = "float32"
) -> "PreTrainedModel":
    """The base model on a device, its weights in `dtype` (float32, bfloat16).

    Frozen weights are kept in 4 bits where the settings say so. Raises `UserError` where the folder or hub
    model can't be read, or lacks some of its weights, and where 4 bits are not possible.
    """
    import torch

    in_four_bits = settings.method == "lora" and settings.lora.four_bit
    options = _four_bits(device) if in_four_bits else {}
    model = load_model(location, dtype=getattr(torch, dtype), **options)
    model.config.use_cache = False
    if in_four_bits:
        from peft import prepare_model_for_kbit_training

        prepared: PreTrainedModel = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        return prepared
    moved: PreTrainedModel = model.to(device)
    return moved


def _four_bits(device: str) -> dict[str, Any]:
    """What makes transformers load weights in 4 bits (Dettmers et al. 2023)."""
    import torch
    from transformers import BitsAndBytesConfig

    if device == "cpu" or importlib.util.find_spec("bitsandbytes") is None:
        missing = (
            "an NVIDIA GPU" if device == "cpu" else "the package bitsandbytes (pip install bitsandbytes)"
        )
        raise UserError(f"Weights in 4 bits need {missing}. Set training.lora.four_bit to false.")
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    return {"quantization_config": config, "device_map": {"": device}}


def with_adapter(
    model: "PreTrainedModel", settings: TrainingSettings, seed: int, tokens: Sequence[int] = ()
) -> Any:
    """The model with a fresh adapter that depends on the seed; only the adapter is trained, and with it the
    vectors of these tokens.

    Raises `UserError` where the model has no layer of one of the names.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    lora = settings.lora
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=layers_to_adapt(model, lora.target_modules),
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        init_lora_weights=_INITS[lora.init],
        trainable_token_indices=list(tokens) or None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
    for layer in adapted.modules():
        if isinstance(layer, BaseTunerLayer):
            # Else inputs are cast to float32 for its factors, and back by autocast at the next product.
            layer.cast_input_dtype_enabled = False  # type: ignore[assignment]
    return adapted


# The fast singular value decomposition, in 16 iterations, that the authors of PiSSA use (Meng et al. 2024).
_INITS: dict[str, Any] = {"zero": True, "pissa": "pissa_niter_16", "olora": "olora"}


def initial_factors(model: Any, settings: TrainingSettings) -> "dict[str, torch.Tensor] | None":
    """The factors of a fresh adapter, where its beginning has changed the base's weights; else None."""
    if settings.method != "lora" or settings.lora.init == "zero":
        return None
    return {
        name: weights.detach().cpu().clone()
        for name, weights in model.named_parameters()
        if weights.requires_grad
    }


def save_adapter(model: Any, folder: Path, initial: "dict[str, torch.Tensor] | None") -> None:
    """Save the adapter so that it fits the untouched base.

    Where the beginning took `initial` out of the base's weights, the difference between the trained factors
    and these is saved, a plain adapter of twice the rank.
    """
    if initial is None:
        # The vectors of trained tokens are part of the adapter; the rest of the embedding is the base's.
        whole = "auto" if not model.peft_config["default"].trainable_token_indices else False
        model.save_pretrained(folder, save_embedding_layers=whole)
        return
    trained = {name: weights for name, weights in model.named_parameters() if name in initial}
    kept = {name: weights.detach().clone() for name, weights in trained.items()}
    with tempfile.TemporaryDirectory() as temporary:
        begun = Path(temporary) / "initial"
        _set(trained, initial)
        model.peft_config["default"].init_lora_weights = True  # what is loaded below begins as it is saved
        model.save_pretrained(begun)
        _set(trained, kept)
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(begun))


def _set(weights: "dict[str, torch.nn.Parameter]", values: "dict[str, torch.Tensor]") -> None:
    import torch

    with torch.no_grad():
        for name, value in values.items():
            weights[name].copy_(value)
