"""Model folders: where a base model lies and whether it may be trusted.

A base model is named in a spec by the name of a folder in `data/models/`, by a path, by the name of a model
that ships with the project, or by its name on a model hub. Weights are safetensors only; code that comes with
a model is never run.
"""

import logging
import re
import warnings
from pathlib import Path
from typing import Any

from core.errors import UserError, is_full_disk, panics_as_errors
from core.plain_files import file_stamp, read_bytes
from core.storage.files import sha256_of, write_json
from core.storage.hub import check_hub_model
from core.storage.json_records import Count, Record, Text, read_as
from core.storage.model_files import SUMS

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER = "tokenizer_config.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[2] / "data" / "models"
SHIPPED_NAMES = ("arc-pair", "arc-tiny", "arc1-pair")
"""The models that come with the project, and where they lie: a project folder elsewhere finds them too, and
no other that lies beside them."""


class ModelConfig(Record):
    """What is read of a model's `config.json`."""

    architectures: list[Text] | None = None
    max_position_embeddings: Count | None = None


def model_location(root: Path, name: str) -> str:
    """What the loading libraries get: the folder of an embedded or local model, or the hub name itself.

    Raises `UserError` where a name that looks local has no folder, or its folder is not usable.
    """
    folders = [root / "data" / "models" / name, root / name]
    for folder in [*folders, SHIPPED / name] if name in SHIPPED_NAMES else folders:
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


def found_model(root: Path, name: str) -> str:
    """The same before a launch: a name that is no folder must be one that the hub knows.

    Raises `UserError` also where it is not.
    """
    location = model_location(root, name)
    if not Path(location).is_dir():
        check_hub_model(location)
    return location


def new_model_folder(root: Path, name: str) -> Path:
    """Where a new base model of that name goes. Raises `UserError` for what can't name a folder."""
    if not _NAME.fullmatch(name):
        raise UserError(f"'{name[:100]}' can't name a model. Use letters, digits, '.', '_' and '-'.")
    return root / "data" / "models" / name


def list_models(root: Path) -> list[str]:
    """Names of the folders in `data/models/` that hold a model."""
    folder = root / "data" / "models"
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("config.json"))


def model_summary(folder: Path, name: str) -> dict[str, Any]:
    """A flat record of a model folder: name, architecture, weights_bytes, context."""
    settings = read_as(folder / CONFIG, ModelConfig)
    return {
        "name": name,
        "architecture": ", ".join(settings.architectures or []) or None,
        "weights_bytes": sum(file_stamp(path)[1] for path in folder.glob("*.safetensors")),
        "context": settings.max_position_embeddings,
    }


def check_model_folder(folder: Path) -> None:
    """Raise `UserError` unless the folder holds a config, a tokenizer and safetensors, and no code to run."""
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"{folder} holds no config.json. Point to a folder that holds a model.")
    if "auto_map" in (read_as(config, ModelConfig).model_extra or {}):
        raise UserError(f"{folder} wants to run code of its own, which is refused. Choose another model.")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no .safetensors weights. Convert the model to safetensors first.")


def seal(folder: Path) -> None:
    """Write the sha256 of every file of an adapter or model beside them; `check_seal` holds them to it."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    write_json(folder / SUMS, {path.name: sha256_of(path) for path in files})


def check_seal(folder: Path) -> None:
    """Raise `UserError` unless the files of an adapter or model are what the training wrote; one from
    elsewhere, which was never sealed, passes."""
    if not (folder / SUMS).exists():
        return
    sums = read_as(folder / SUMS, dict[str, str])
    for name, wanted in sums.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != wanted:
            raise UserError(
                f"{path} is damaged: it is not what the training wrote. Delete the folder {folder} and launch"
                " again; the training is repeated."
            )


def unreadable(part: str, location: str, problem: Exception) -> UserError:
    """The error to raise where a library can't load a part (model, tokenizer) of a model."""
    if is_full_disk(problem):
        return UserError(
            f"The disk is full, so the {part} of '{location}' can't be loaded. Free some space and try again;"
            " nothing is lost."
        )
    reason = str(problem).strip().split("\n")[0]
    for path in sorted(Path(location).glob("*.json")):  # what a library says of it names no file
        if path.name == GENERATION:
            continue
        try:
            read_as(path, dict[str, Any])
        except UserError as damage:
            return damage
    return UserError(
        f"The {part} of '{location}' can't be loaded ({reason}). Check the folder or the hub name."
    )


def leave_out_unneeded() -> None:
    """Keep scikit-learn, SciPy's statistics and pandas, which it loads, out of transformers' models: they
    take a sixth of the time of all imports, and serve a kind of generation that nothing here asks for.

    To be called before a process imports its first model, or the tokenizer of one, which brings all models.
    """
    import transformers.utils

    transformers.utils.is_sklearn_available = lambda: False  # type: ignore[attr-defined]


def load_model(location: str, **options: Any) -> Any:
    """A causal language model with all its weights; `options` go to transformers' loader.

    Raises `UserError` where folder or hub model can't be read or lacks weights, which the library would
    fill with random numbers. Errors for too little memory pass.
    """
    leave_out_unneeded()
    from transformers import AutoModelForCausalLM, GenerationConfig

    if not reads_generation(location):
        options["generation_config"] = GenerationConfig()
    try:
        with panics_as_errors():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                location, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
            )
    except Exception as problem:  # each library has errors of its own for a damaged file
        if is_out_of_memory(problem):
            raise
        raise unreadable("model", location, problem) from problem
    model, found = loaded
    if found["missing_keys"]:
        names = ", ".join(sorted(found["missing_keys"])[:3])
        raise unreadable("model", location, ValueError(f"weights are missing: {names}"))
    _forget_generation(model, location)
    return model


def are_alike(one: str, other: str) -> bool:
    """Whether two model folders differ in weights and in what their tokens are called alone."""
    folders = Path(one), Path(other)
    return all(folder.is_dir() for folder in folders) and all(
        len({read_bytes(path) if (path := folder / name).exists() else None for folder in folders}) == 1
        for name in (CONFIG, GENERATION, TOKENIZER)
    )


def reads_generation(location: str) -> bool:
    """Whether libraries get on with a model folder's `generation_config.json`. Nothing here needs more of it
    than the tokens that `config.json` names as well. Warns where they don't."""
    from transformers import GenerationConfig

    if not (Path(location) / GENERATION).is_file():
        return True
    try:
        GenerationConfig.from_pretrained(location)
    except OSError:  # no JSON: libraries go on without it
        return True
    except Exception as problem:  # whatever a value of another type raises
        log.warning("%s of %s is not used, for it can't be read: %s", GENERATION, location, problem)
        return False
    return True


def _forget_generation(model: Any, location: str) -> None:
    """Keep of a model's `generation_config.json` which tokens begin, end and pad.

    Nothing here draws answers by the rest, and saving a model refuses one that contradicts itself.
    """
    found = getattr(model, "generation_config", None)
    if found is None:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.validate(strict=True)
    except Exception as problem:  # whatever a field of another type raises
        reason = " ".join(str(problem).split())[:300] or type(problem).__name__
        log.warning("generation_config.json of %s is not used, for it is invalid: %s", location, reason)
    kept = type(found).from_model_config(model.config)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        tokens = getattr(found, name, None)
        if all(type(token) is int for token in (tokens if isinstance(tokens, list) else [tokens])):
            setattr(kept, name, tokens)
    model.generation_config = kept


def is_out_of_memory(problem: Exception) -> bool:
    """Whether memory ended; without a GPU torch says so in a plain RuntimeError."""
    import torch

    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(problem, kinds) or "can't allocate memory" in str(problem)
