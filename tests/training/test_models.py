"""Models: fresh ones depend on their seed alone, and a bad folder is one sentence."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from core.errors import UserError
from core.modeling.adapted_layers import coverage, coverage_sentence
from core.prompts.vocabulary import load_tokenizer
from core.settings import validated
from core.storage import models as storage_models
from core.storage.models import check_model_folder, load_model, model_location
from core.training.models import ModelShape, init_model, load_for_training, with_adapter
from core.training.settings import LoraSettings, TrainingSettings
from tests.training.tiny import SHAPE


def test_fresh_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    count = init_model(tmp_path / "a", SHAPE, 1)
    state = torch.random.get_rng_state()
    torch.manual_seed(8)
    init_model(tmp_path / "b", SHAPE, 1)
    init_model(tmp_path / "c", SHAPE, 2)
    one, same, other = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert sum(weights.numel() for weights in one.values()) == count
    torch.manual_seed(7)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator was left alone"


def test_the_base_of_rotary_positions_is_part_of_the_shape(tmp_path: Path) -> None:
    init_model(tmp_path / "near", SHAPE.model_copy(update={"rope_theta": 500.0}), 1)
    model = load_model(str(tmp_path / "near"))
    half = SHAPE.hidden_size // SHAPE.heads // 2
    assert model.model.rotary_emb.inv_freq[-1].item() == pytest.approx(500.0 ** -((half - 1) / half))


def test_a_model_is_not_overwritten(model_folder: Path) -> None:
    with pytest.raises(UserError, match=r"exists already. Choose another name or delete the folder first"):
        init_model(model_folder, SHAPE, 0)


def test_heads_are_as_wide_as_vllm_serves() -> None:
    with pytest.raises(UserError, match=r"heads are a multiple of 32 wide, which 32 / 5 is not"):
        validated(ModelShape, {"hidden_size": 32, "heads": 5}, "model init")


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def widen_config(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 64'))


def unknown_type(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "nope"}')


def wrong_value(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": "wide"'))


def pickled_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "damage", [cut_weights, lose_a_weight, widen_config, unknown_type, wrong_value, pickled_weights]
)
def test_a_damaged_model_is_one_sentence(
    damage: Callable[[Path], None], model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(model_folder, folder)
    damage(folder)
    with pytest.raises(
        UserError, match=r"The model of '.*bad' can't be loaded \(.+\). Check the folder"
    ) as e:
        load_for_training(str(folder), TrainingSettings(), "cpu")
    assert "\n" not in str(e.value)


def test_a_damaged_tokenizer_is_one_sentence(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(model_folder, folder)
    whole = json.loads((folder / "tokenizer.json").read_text())
    panics = {**whole, "post_processor": {**whole["post_processor"], "special_tokens": {}}}
    for value in ({}, panics):
        (folder / "tokenizer.json").write_text(json.dumps(value))
        with pytest.raises(UserError, match=r"The tokenizer of '.*bad' can't be loaded \(.+\). Check the"):
            load_tokenizer(str(folder))


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_no_damaged_model(
    problem: Exception, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise problem
        except Exception as first:  # as libraries do
            raise ValueError("Could not load the file.") from first

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", fail)
    for part, load in (("model", load_model), ("tokenizer", load_tokenizer)):
        with pytest.raises(UserError, match=f"The disk is full, so the {part} of '.*' can't be loaded. Free"):
            load(str(model_folder))


@pytest.mark.parametrize(
    ("key", "value"), [("model_max_length", "x"), ("eos_token", ["<eos>"]), ("eos_token", 7)]
)
def test_a_setting_of_a_tokenizer_of_another_type_is_one_sentence(
    key: str, value: object, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(model_folder, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, key: value}))
    with pytest.raises(UserError, match=r"The tokenizer of '.*bad' can't be loaded \(.+\). Check the folder"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("name", ["special_tokens_map.json", "added_tokens.json", "tokenizer_config.json"])
def test_a_side_file_of_another_shape_is_named(name: str, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    for text, what in (("[1]", "is damaged"), ("{", "is no valid JSON")):
        shutil.copytree(model_folder, folder, dirs_exist_ok=True)
        (folder / name).write_text(text)
        with pytest.raises(UserError, match=f"{name} {what}"):
            load_tokenizer(str(folder))


def with_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"auto_map": {"AutoModelForCausalLM": "code.Model"}}')


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (pickled_weights, r"holds no .safetensors weights. Convert the model to safetensors first"),
        (with_code, r"wants to run code of its own, which is refused. Choose another model"),
        (without_config, r"holds no config.json. Point to a folder that holds a model"),
    ],
)
def test_a_folder_that_is_not_trusted_is_refused_before_it_is_loaded(
    damage: Callable[[Path], None], sentence: str, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "models" / "bad"
    shutil.copytree(model_folder, folder)
    check_model_folder(folder)
    damage(folder)
    with pytest.raises(UserError, match=sentence):
        model_location(tmp_path, "bad")


def test_an_unknown_model_is_named_with_the_known_ones(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "data" / "models" / "tiny")
    with pytest.raises(
        UserError, match=r"no base model 'tinny' \(in data/models: tiny\). Make it with: python"
    ):
        model_location(tmp_path, "tinny")


def test_a_shipped_model_is_found_from_any_project_folder(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model_folder, tmp_path / "shipped" / "arc-tiny")
    monkeypatch.setattr(storage_models, "SHIPPED", tmp_path / "shipped")
    assert model_location(tmp_path / "project", "arc-tiny") == str(tmp_path / "shipped" / "arc-tiny")
    own = tmp_path / "project" / "data" / "models" / "arc-tiny"
    shutil.copytree(model_folder, own)
    assert model_location(tmp_path / "project", "arc-tiny") == str(own), "a model of one's own comes first"
    shutil.copytree(model_folder, tmp_path / "shipped" / "made-here")
    with pytest.raises(UserError, match="no base model 'made-here'"):
        model_location(tmp_path / "project", "made-here")


def adapter_of(model_folder: Path, seed: int, **lora: Any) -> dict[str, torch.Tensor]:
    settings = TrainingSettings(lora=LoraSettings(rank=4, **lora))
    model = with_adapter(load_for_training(str(model_folder), settings, "cpu"), settings, seed)
    return {name: weights.detach() for name, weights in model.named_parameters() if weights.requires_grad}


def test_an_adapter_depends_on_its_seed_and_is_all_that_is_trained(model_folder: Path) -> None:
    one, same, other = (adapter_of(model_folder, seed) for seed in (1, 1, 2))
    assert len(one) == 2 * 7 * SHAPE.layers
    assert all("lora_" in name for name in one)
    assert all(torch.equal(one[name], same[name]) for name in one)
    first = next(name for name in one if "lora_A" in name)
    assert not torch.equal(one[first], other[first])
    assert all(not weights.any() for name, weights in one.items() if "lora_B" in name)


@pytest.mark.parametrize("names", [("q_prj",), ("q_proj", "v_porj"), ("all-linear", "o_pro")])
def test_a_name_that_no_layer_has_is_refused(model_folder: Path, names: tuple[str, ...]) -> None:
    """Among others, too: a misspelt one would be left untrained without a word."""
    near = {"q_prj": "q_proj", "v_porj": "v_proj", "o_pro": "o_proj"}[names[-1]]
    with pytest.raises(
        UserError,
        match=rf"no layer named '{names[-1]}'. Did you mean '{near}'\? It has down_proj, .* Correct",
    ):
        adapter_of(model_folder, 0, target_modules=names)


@pytest.mark.parametrize("names", ["all-linear", ["all-linear"], ["all-linear", "q_proj"]])
def test_all_linear_layers_of_the_blocks_may_be_meant(model_folder: Path, names: Any) -> None:
    settings = validated(LoraSettings, {"rank": 4, "target_modules": names}, "lora")
    adapted = adapter_of(model_folder, 0, target_modules=settings.target_modules)
    assert len(adapted) == 2 * 7 * SHAPE.layers and not any("lm_head" in name for name in adapted)


def fresh(kind: str, **more: Any) -> Any:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128, pad_token_id=0, **more,
    )  # fmt: skip
    return getattr(transformers, f"{kind}ForCausalLM")(config)


USUAL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.mark.parametrize(
    ("kind", "more", "left_out"),
    [
        ("Qwen2", {}, set()),
        ("Phi3", {}, {"qkv_proj", "gate_up_proj"}),
        ("Glm4", {"head_dim": 16}, {"gate_up_proj"}),
        (
            "GptOss",
            {"head_dim": 16, "num_local_experts": 2, "num_experts_per_tok": 1},
            {"gate_up_proj", "down_proj"},
        ),
    ],
)
def test_what_an_adapter_leaves_out_is_counted(kind: str, more: dict[str, Any], left_out: set[str]) -> None:
    """By hand, from the shapes of the model's matrices; with all-linear only experts that are no layers
    stay."""
    model = fresh(kind, **more)
    known = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    settings = TrainingSettings(lora=LoraSettings(rank=2, target_modules=tuple(set(USUAL) & known)))
    sizes = {
        name: weights.numel() for name, weights in model.model.layers.named_parameters() if weights.ndim > 1
    }
    share, left = coverage(with_adapter(model, settings, 0))
    assert left_out <= set(left)
    reached = sum(
        size for name, size in sizes.items() if name.removesuffix(".weight").split(".")[-1] not in left
    )
    assert share == pytest.approx(reached / sum(sizes.values()))
    assert (coverage_sentence(share, left) is None) == (share == 1)
    every = TrainingSettings(lora=LoraSettings(rank=2))
    share, left = coverage(with_adapter(fresh(kind, **more), every, 0))
    assert share == 1 or kind == "GptOss"


@pytest.mark.parametrize("kind", [{}, {"dora": True}, {"rslora": True, "dropout": 0.5}])
def test_an_adapters_inputs_are_not_cast_twice(model_folder: Path, kind: dict[str, Any]) -> None:
    """In bfloat16 each layer hands the factors what it was given, and answers in bfloat16."""
    settings = TrainingSettings(lora=LoraSettings(rank=4, **kind))
    base = load_for_training(str(model_folder), settings, "cpu", "bfloat16")
    model, seen = with_adapter(base, settings, 0), []
    for name, layer in model.named_modules():
        if name.endswith("lora_A.default"):
            layer.register_forward_hook(
                lambda _, inputs, output: seen.append((inputs[0].dtype, output.dtype))
            )
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(input_ids=torch.arange(3, 23)[None]).logits.float().sum()
    loss.backward()
    if kind.get("dora"):  # which calls its factors on a matrix of its own making, too
        seen = [found for found in seen if found[0] == torch.bfloat16]
    assert seen == [(torch.bfloat16, torch.bfloat16)] * 7 * SHAPE.layers
