"""Fingerprints of models: all that changes an answer changes them, and nothing else does."""

import json
import struct
from pathlib import Path

import pytest

from core.storage.model_files import model_fingerprint, tokenizer_fingerprint


def safetensors(path: Path, tensors: dict[str, bytes], note: str = "") -> None:
    """A safetensors file of vectors of 8-bit numbers."""
    header: dict[str, object] = {"__metadata__": {"note": note}}
    data = b""
    for name, values in tensors.items():
        offsets = [len(data), len(data) + len(values)]
        header[name] = {"dtype": "U8", "shape": [len(values)], "data_offsets": offsets}
        data += values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    safetensors(tmp_path / "model.safetensors", {"a": b"123", "b": b"45"})
    return tmp_path


READ = (
    *("chat_template.jinja", "additional_chat_templates/tools.jinja", "chat_template.json"),
    *("tokenizer.model", "vocab.txt", "merges.txt", "qwen.tiktoken", "special_tokens_map.json"),
    "generation_config.json",
)


@pytest.mark.parametrize("name", READ)
def test_every_file_that_is_read_counts(folder: Path, name: str) -> None:
    before = model_fingerprint(str(folder)), tokenizer_fingerprint(str(folder))
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("one")
    added = model_fingerprint(str(folder)), tokenizer_fingerprint(str(folder))
    path.write_text("other")
    changed = model_fingerprint(str(folder)), tokenizer_fingerprint(str(folder))
    assert all(len({*each}) == 3 for each in zip(before, added, changed, strict=True))


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", ".gitattributes", "sha256.json", "pytorch_model.bin"]
)
def test_papers_and_what_is_never_read_do_not_count(folder: Path, name: str) -> None:
    before = model_fingerprint(str(folder))
    (folder / name).write_text("x")
    assert model_fingerprint(str(folder)) == before


def test_weights_count_by_their_effect(folder: Path) -> None:
    before = model_fingerprint(str(folder))
    (folder / "model.safetensors").unlink()
    safetensors(folder / "model-1.safetensors", {"b": b"45"}, note="elsewhere")
    safetensors(folder / "model-2.safetensors", {"a": b"123"})
    assert model_fingerprint(str(folder)) == before
    for changed in ({"a": b"124"}, {"a": b"12"}, {"c": b"123"}, {"a": b"123", "c": b""}):
        safetensors(folder / "model-2.safetensors", changed)
        assert model_fingerprint(str(folder)) != before


@pytest.mark.parametrize("data", [b"", b"junk" * 9, struct.pack("<Q", 2**60), struct.pack("<Q", 2) + b"[]"])
def test_a_broken_file_counts_by_its_bytes(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    before = model_fingerprint(str(folder))
    (folder / "model.safetensors").write_bytes(data + b"x")
    assert model_fingerprint(str(folder)) != before
