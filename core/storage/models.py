"""Model folders: where a base model lies and whether it may be trusted.

A base model is named in a spec by the name of a folder in `data/models/`, by a path, or by its name on
a model hub. Weights are safetensors only; code that comes with a model is never run.
"""

import json
from pathlib import Path

from core.errors import UserError
from core.storage.files import fingerprint, sha256_of


def model_location(root: Path, name: str) -> str:
    """What the loading libraries get: the folder of an embedded or local model, or the hub name itself.

    Raises `UserError` where a name that looks local has no folder, or its folder is not usable.
    """
    for folder in (root / "data" / "models" / name, root / name, Path(name)):
        if folder.is_dir():
            check_model_folder(folder)
            return str(folder)
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return name
    known = ", ".join(list_models(root)) or "none yet"
    raise UserError(
        f"There is no base model '{name}' (in data/models: {known})."
        f" Make it with: python -m core model init {name}"
    )


def list_models(root: Path) -> list[str]:
    """Names of the folders in `data/models/` that hold a model."""
    folder = root / "data" / "models"
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("config.json"))


def check_model_folder(folder: Path) -> None:
    """Raise `UserError` unless the folder holds a config, a tokenizer and safetensors, and no code to run."""
    config = folder / "config.json"
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no config.json. Point to a folder that holds a model.") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise UserError(f"{config} is no valid JSON. Download or make the model again.") from None
    if "auto_map" in settings:
        raise UserError(f"{folder} wants to run code of its own, which is refused. Choose another model.")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no .safetensors weights. Convert the model to safetensors first.")


def model_fingerprint(location: str) -> str:
    """One sha256 over config, tokenizer and weights of a local model; the name itself for a hub model."""
    folder = Path(location)
    if not folder.is_dir():
        return location
    files = sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors"})
    return fingerprint({path.name: sha256_of(path) for path in files})
