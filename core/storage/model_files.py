"""What of a model folder decides its answers, as one fingerprint: every file that a tokenizer, a template or
a model reads, and the weights by their effect: names, types, shapes and bytes, however they lie in files.
"""

import functools
import hashlib
import json
import math
from pathlib import Path
from typing import Any, BinaryIO

from core.plain_files import FullStamp, full_stamp, open_plain
from core.storage.files import fingerprint, sha256_of

SUMS = "sha256.json"
"""The seal of a folder, which follows from its other files."""

_WEIGHTS = ".safetensors"
_NOT_READ = frozenset((".md", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack", ".png", ".jpg"))
_PAPERS = ("license", "licence", "notice", "readme")
MORE_TEMPLATES = "additional_chat_templates/*.jinja"
_LONGEST_HEADER = 100 * 2**20
_CHUNK = 2**20


def model_fingerprint(location: str) -> str:
    """One sha256 over what a model is. Of a hub model it is that of the files that this machine keeps of it;
    the name itself while there are none."""
    folder = Path(location) if Path(location).is_dir() else _kept_from_hub(location)
    return location if folder is None else _fingerprint(folder, weights=True)


def tokenizer_fingerprint(location: str) -> str:
    """The same without the weights: changes whenever a token of a prompt may have."""
    folder = Path(location) if Path(location).is_dir() else _kept_from_hub(location)
    return location if folder is None else _fingerprint(folder, weights=False)


def _kept_from_hub(name: str) -> Path | None:
    """Where this machine keeps the files of a hub model; None where it keeps none."""
    if name.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _fingerprint(folder: Path, *, weights: bool) -> str:
    files = [path for path in folder.iterdir() if _is_read(path)]
    files += folder.glob(MORE_TEMPLATES)
    chosen = sorted(path for path in files if weights or path.suffix != _WEIGHTS)
    return _of_files(folder, tuple((path, full_stamp(path)) for path in chosen))


def _is_read(path: Path) -> bool:
    name = path.name.lower()
    return (
        path.is_file()
        and not name.startswith((".", *_PAPERS))
        and path.suffix.lower() not in _NOT_READ
        and name != SUMS
    )


@functools.lru_cache(maxsize=64)
def _of_files(folder: Path, stamped: tuple[tuple[Path, FullStamp], ...]) -> str:
    paths = [path for path, _ in stamped]
    weights = [path for path in paths if path.suffix == _WEIGHTS]
    others = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths if path not in weights}
    return fingerprint({"files": others, "weights": weights_fingerprint(weights)})


def weights_fingerprint(paths: list[Path]) -> str:
    """The sha256 (hex) over name, type, shape and bytes of every tensor, in the order of their names. Of a
    file that is no safetensors its bytes count."""
    found: list[tuple[str, str, Any]] = []
    for path in paths:
        with open_plain(path) as file:
            tensors = _tensors(file)
            if tensors is None:
                found.append((path.name, sha256_of(path), None))
            for name, tensor in (tensors or {}).items():
                begin, end = tensor["data_offsets"]
                found.append((name, _bytes_of(file, begin, end), [tensor["dtype"], tensor["shape"]]))
    return fingerprint(sorted(found, key=lambda one: one[:2]))


def weights_in(folder: Path) -> int | None:
    """How many numbers the weights of a model folder hold; None where it holds none that can be read."""
    count = 0
    for path in folder.glob(f"*{_WEIGHTS}"):
        with open_plain(path) as file:
            shapes = [tensor["shape"] for tensor in (_tensors(file) or {}).values()]
        if not all(type(side) is int for shape in shapes for side in shape):
            return None
        count += sum(math.prod(shape) for shape in shapes)
    return count or None


def _tensors(file: BinaryIO) -> dict[str, Any] | None:
    """The tensors of a safetensors file, with offsets from its beginning; None where it is none."""
    size = int.from_bytes(file.read(8), "little")
    if not 0 < size <= _LONGEST_HEADER:
        return None
    try:
        header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        return {
            name: {**one, "data_offsets": [8 + size + int(place) for place in one["data_offsets"]]}
            for name, one in header.items()
            if one["dtype"] and isinstance(one["shape"], list)
        }
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None


def _bytes_of(file: BinaryIO, begin: int, end: int) -> str:
    digest = hashlib.sha256()
    file.seek(begin)
    while begin < end and (chunk := file.read(min(_CHUNK, end - begin))):
        digest.update(chunk)
        begin += len(chunk)
    return digest.hexdigest()
