"""Settings side by side: which ones differ between the variants of an experiment, and what they mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from core.settings import Settings
from core.specs.spec import ExperimentSpec


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same in all variants: its key in the recipe, the help text of its field,
    and its value by variant, as text."""

    key: str
    description: str
    values: dict[str, str]


def differences(spec: ExperimentSpec) -> list[Difference]:
    """The settings of the recipe that differ between variants, in the order of the fields. Of settings that
    a variant does without, such as `test_time`, those count that are no defaults."""
    recipes = {variant: dict(_leaves(spec.recipe_of(variant))) for variant in spec.variants}
    known = {key: leaf for leaves in sorted(recipes.values(), key=len) for key, leaf in leaves.items()}
    fullest = max(recipes.values(), key=len)
    found = []
    for key in sorted(known, key=[*fullest, *known].index):
        _, description, default = known[key]
        values = {
            variant: leaves[key][0] if key in leaves else default for variant, leaves in recipes.items()
        }
        if any(value != values[spec.baseline] for value in values.values()):
            texts = {
                variant: as_text(value) if key in recipes[variant] else as_text(None)
                for variant, value in values.items()
            }
            found.append(Difference(key, description, texts))
    return found


def _leaves(settings: BaseModel, above: str = "") -> Iterator[tuple[str, tuple[Any, str, Any]]]:
    """Every setting that holds no settings itself: its key, its value, its description and its default; of
    settings that can be left out also whether they are there."""
    for name, field in type(settings).model_fields.items():
        value, default = getattr(settings, name), field.get_default()
        if not isinstance(value, Settings):
            yield f"{above}{name}", (value, field.description or "", default)
            continue
        if default is None:
            yield f"{above}{name}", (True, field.description or "", None)
        yield from _leaves(value, f"{above}{name}.")


def as_text(value: Any) -> str:
    """A setting's value in words: lists by commas, settings by what was chosen, nothing as a dash."""
    if value is None or value == ():
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(map(as_text, value))
    if isinstance(value, Settings):
        chosen = value.model_dump(exclude_defaults=True)
        first, *rest = chosen.items()
        more = ", ".join(f"{name.replace('_', ' ')} {as_text(part)}" for name, part in rest)
        return f"{as_text(first[1])} ({more})" if more else as_text(first[1])
    return f"{value:g}" if isinstance(value, float) else str(value)
