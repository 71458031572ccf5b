"""The options of `launch` that are about a cluster, made from the fields of its settings."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Optional

import typer

from core.cluster.settings import option_fields


def cluster_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb that takes `**options` an option for each setting of a cluster; None: not given."""
    signature = inspect.signature(verb)
    kept = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [_parameter(name, option, field) for name, (option, field) in option_fields().items()]
    verb.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    return verb


def _parameter(name: str, option: str, field: Any) -> inspect.Parameter:
    kinds = {"int": int, "float": float, "str": str}
    kind = next(kind for part, kind in kinds.items() if part in str(field.annotation))
    annotation = Annotated[Optional[kind], typer.Option(option, help=f"On ray: {field.description}")]  # type: ignore[valid-type] # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
