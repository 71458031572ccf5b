"""Which adapters vLLM can serve, by their settings and weights, and what merging makes of the others."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.errors import UserError
from core.inference.adapters import adapter_rank, load_merged, reason_to_merge, write_merged
from core.storage.models import load_model

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def adapter_of(folder: Path, weights: tuple[str, ...] = (), **settings: Any) -> Path:
    names = (f"{LAYER}.lora_A.weight", f"{LAYER}.lora_B.weight", *weights)
    save_file({name: torch.zeros(2, 2) for name in names}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, **settings}))
    return folder


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_rslora": True}, {"init_lora_weights": "gaussian"}, {"init_lora_weights": True}, {"r": 512}],
)
def test_plain_adapters_are_served(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert reason_to_merge(adapter_of(tmp_path, **settings)) is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, r"its start \(pissa_niter_4\) changes the base"),
        ({"init_lora_weights": "olora"}, "changes the base"),
        ({"modules_to_save": ["embed_tokens"]}, "fully trained layers"),
        ({"bias": "all"}, "trained biases"),
        ({"r": 513}, "rank is above 512"),
        ({"rank_pattern": {"q_proj": 600}}, "rank is above 512"),
        ({"weights": ("base_model.model.model.embed_tokens.weight",)}, "no adapted '.*embed_tokens.weight'"),
        ({"weights": ("base_model.model.lm_head.lora_A.weight",)}, "no adapted '.*lm_head.lora_A.weight'"),
    ],
)
def test_others_are_merged_for_a_reason(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    found = reason_to_merge(adapter_of(tmp_path, **settings))
    with pytest.raises(UserError, match=reason):
        raise UserError(str(found))


def test_the_largest_rank_counts(tmp_path: Path) -> None:
    assert adapter_rank(adapter_of(tmp_path, rank_pattern={"q_proj": 9, "k_proj": 2})) == 9


def test_what_is_no_adapter_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(UserError, match=r"holds no LoRA adapter. Delete it and launch again"):
        adapter_rank(tmp_path)


@pytest.mark.engine
@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True},
        {"init_lora_weights": "pissa"},
        {"target_modules": ["q_proj", "embed_tokens"]},  # whose weights are the head's as well
        {"target_modules": ["embed_tokens", "lm_head"], "use_dora": True},
    ],
)
def test_a_merged_model_answers_as_model_and_adapter_do(
    model_folder: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    layers = {"target_modules": ["q_proj", "up_proj"]}
    config = LoraConfig(r=4, task_type="CAUSAL_LM", **(layers | options))
    wrapped = get_peft_model(load_model(str(model_folder)), config)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in wrapped.parameters():
            if weights.requires_grad:
                weights.add_(torch.randn_like(weights) * 0.05)
    wrapped.save_pretrained(tmp_path / "adapter")
    target = write_merged(str(model_folder), tmp_path / "adapter", tmp_path / "merged")
    tokens = torch.arange(3, 20)[None]
    with torch.inference_mode():
        wanted = PeftModel.from_pretrained(load_model(str(model_folder)), tmp_path / "adapter")
        expected = wanted.eval()(input_ids=tokens).logits
        bare = load_model(str(model_folder)).eval()(input_ids=tokens).logits
        merged = load_model(str(target)).eval()(input_ids=tokens).logits
        inside = load_merged(str(model_folder), tmp_path / "adapter").eval()(input_ids=tokens).logits
    assert torch.allclose(merged, expected, atol=1e-4) and torch.allclose(inside, expected, atol=1e-4)
    assert not torch.allclose(merged, bare, atol=1e-2)
    assert (target / "tokenizer.json").exists()


@pytest.mark.engine
def test_missing_weights_are_named(model_folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file

    shutil.copytree(model_folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    save_file({n: w for n, w in weights.items() if "layers.1.mlp" not in n}, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"can't be loaded \(weights are missing: model.layers.1.mlp"):
        load_model(str(tmp_path / "model"))
