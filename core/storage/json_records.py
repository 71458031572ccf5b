"""Files of JSON that the product wrote, read back by their schema.

A schema is a type: a dataclass, a model below `Record`, or `dict[str, str]`. What does not fit it is one
sentence that names the file, the key and what to do.
"""

import functools
import logging
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import UserError
from core.settings import LARGEST_SEED
from core.storage.files import read_json, read_records_from

log = logging.getLogger(__name__)

T = TypeVar("T")
Whole = Annotated[int, Field(ge=-LARGEST_SEED, le=LARGEST_SEED)]
"""A whole number that fits into a column of 64 bits."""
Count = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number from 0 on, such as seconds."""


def _whole_characters(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half a character") from None
    return text


Text = Annotated[str, AfterValidator(_whole_characters)]
"""A text that can be encoded."""


class Record(BaseModel):
    """Base of the schemas of what is read back. Keys that it does not name are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")


def read_as(path: Path, kind: type[T], remedy: str = "Restore it or delete it.") -> T:
    """The value of a JSON file as this kind; `remedy` is what to do where it is not.

    Raises `UserError` where the file is absent, is no JSON, or holds something else.
    """
    return fitting(read_json(path), kind, str(path), remedy)


def read_as_or_none(path: Path, kind: type[T]) -> T | None:
    """The same; None where it can't be read."""
    try:
        return read_as(path, kind)
    except UserError:
        return None


def fitting(value: Any, kind: type[T], where: str, remedy: str = "Restore it or delete it.") -> T:
    """Plain JSON data as this kind. Raises `UserError` naming `where`, the key and the remedy."""
    try:
        return _schema(kind).validate_python(value)  # type: ignore[arg-type, no-any-return]
    except (ValidationError, RecursionError) as problem:
        raise UserError(f"{where} is damaged ({_reason(problem)}). {remedy}") from None


def _reason(problem: ValidationError | RecursionError) -> str:
    if isinstance(problem, RecursionError):
        return "it is nested too deeply"
    first = problem.errors(include_input=False, include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])[:100]
    is_shape = first["type"] in ("model_type", "dataclass_type", "dict_type", "model_attributes_type")
    words = "keys and their values should stand there" if is_shape else str(first["msg"])[:200]
    return f"'{key}': {words}" if key else words


@functools.lru_cache(maxsize=64)
def _schema(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_fitting_from(path: Path, kind: type[Record], offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The records of a file of JSON lines that fit a schema, as plain data, from byte `offset` on, and the
    offset behind the last whole line. Others are skipped with a warning."""
    records, behind = read_records_from(path, offset)
    kept = [one for record in records if (one := fitting_or_none(record, kind)) is not None]
    if len(kept) < len(records):
        log.warning("%s: %d lines are damaged and were skipped.", path, len(records) - len(kept))
    return kept, behind


def fitting_or_none(value: Any, kind: type[Record]) -> dict[str, Any] | None:
    """Plain JSON data as a schema has it; None where it does not fit."""
    try:
        return kind.model_validate(value).model_dump(exclude_unset=True)
    except ValidationError:
        return None
