"""What all settings have in common: frozen, typed, unknown keys refused, read from YAML.

Each room's settings sit beside the code that reads them; this module only turns a person's YAML into
them and a validation error into one sentence.
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import UserError


class Settings(BaseModel):
    """Base of every settings model. Each field carries a `description`, which help and forms show."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)

MAX_TEXT = 1_000_000
MAX_VALUES = 100_000


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
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: '{key}': {message}. Correct it in the file.") from None


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file, safely loaded. Raises `UserError` where it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Check the name.") from None
    except UnicodeDecodeError as problem:
        raise UserError(f"{path} is no valid YAML ({problem}). Correct the file.") from None
    return parse_yaml(text, str(path))


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, which takes no key twice: one of the two values would be lost without a word."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called before a mapping is read; once merged keys (`<<`) are laid under its own, some repeat."""
        if id(node) not in self._checked:
            self._checked.add(id(node))
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    problem = f"the key '{key.value}' stands there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        super().flatten_mapping(node)


def parse_yaml(text: str, where: str) -> Any:
    """The plain data of a YAML text, safely loaded and of bounded size. Raises `UserError` naming `where`."""
    if len(text) > MAX_TEXT:
        raise UserError(f"{where} is longer than {MAX_TEXT:,} characters. Shorten it.")
    try:
        value = yaml.load(text, _UniqueKeys)
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        raise UserError(f"{where} is no valid YAML ({_reason(problem)}). Correct the file.") from None
    if not _is_bounded(value):
        raise UserError(f"{where} holds more than {MAX_VALUES:,} values once its aliases are filled in.")
    return value


def _reason(problem: Exception) -> str:
    """What the parser says is wrong, and in which line."""
    mark = getattr(problem, "problem_mark", None)
    if mark is None:
        return str(problem).replace("\n", " ")
    said = getattr(problem, "problem", None) or "unreadable"
    return f"line {mark.line + 1}: {said}"


def _is_bounded(value: Any) -> bool:
    """Whether the data, with every alias counted as often as it is used, has at most `MAX_VALUES` values."""
    waiting = [value]
    for _ in range(MAX_VALUES):
        if not waiting:
            return True
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return not waiting


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
