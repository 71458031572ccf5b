"""What all settings have in common: frozen, typed, bounded, unknown keys refused, read from YAML.

Each room's settings sit beside the code that reads them; this module only turns a person's YAML (see
`yaml_text`) into them and a validation error into one sentence.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import UserError
from core.plain_files import read_text

__all__ = ["LARGEST_SEED", "Seed", "Settings", "read_yaml", "validated"]

LARGEST_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
"""A seed: what a column of 64 bits and every library hold."""

LONGEST_TEXT = 10_000


class Settings(BaseModel):
    """Base of every settings model. Each field carries a `description`, which help and forms show.

    Numbers are finite, and each field states their bounds; texts have at most `LONGEST_TEXT` characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=LONGEST_TEXT)

    @model_validator(mode="before")
    @classmethod
    def _a_number_is_no_truth(cls, value: Any) -> Any:
        """Refuse true and false where a number is wanted: Python counts them as 1 and 0."""
        for name, field in cls.model_fields.items() if isinstance(value, dict) else ():
            given = value.get(name)
            truths = given if isinstance(given, list | tuple) else [given]
            if any(isinstance(one, bool) for one in truths) and _takes_numbers_only(field.annotation):
                raise ValueError(f"{name} is a number, not true or false")
        return value


def _takes_numbers_only(annotation: Any) -> bool:
    """Whether a field holds numbers, alone or in a list, and no truth values."""
    inside = [annotation]
    for kind in inside:
        inside += get_args(kind)
    return bool({int, float} & {kind for kind in inside if isinstance(kind, type)}) and bool not in inside


S = TypeVar("S", bound=Settings)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The most similar of the known names; None where none is similar."""
    near = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.5)
    return near[0] if near else None


def validated(kind: type[S], value: Any, where: str) -> S:
    """`value` (plain YAML data) as settings of this kind.

    Raises `UserError` naming the place, the key and, for a misspelt key, the nearest known one.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole file"
        if first["type"] == "extra_forbidden":
            known = _keys_at(kind, first["loc"][:-1])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known keys: {', '.join(sorted(known))}."
            raise UserError(f"{where}: unknown key '{key}'. {hint}") from None
        message = first["msg"].removeprefix("Value error, ").removesuffix(".")
        raise UserError(f"{where}: '{key}': {message}.{_quotes(first)} Correct it in the file.") from None


def _quotes(problem: Any) -> str:
    """What to do where a number stands for a text, such as a name that looks like one."""
    is_number = isinstance(problem["input"], int | float) and problem["type"] == "string_type"
    return " A text that looks like a number needs quotes." if is_number else ""


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file, safely loaded. Raises `UserError` where it can't be read."""
    from core.yaml_text import parse_yaml

    return parse_yaml(read_text(path), str(path))


def _keys_at(kind: Any, location: tuple[Any, ...]) -> list[str]:
    """Known keys of the settings model that stands at `location` inside `kind`."""
    for part in location:
        if isinstance(part, str) and isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(part)
            kind = _model_inside(field.annotation) if field else kind
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _model_inside(annotation: Any) -> Any:
    """The settings model in an annotation such as `dict[str, Variant]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_inside(argument)
        if found is not None:
            return found
    return None
