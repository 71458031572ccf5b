"""Every setting has bounds in its type: numbers are finite and bounded, texts have a longest length."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import core
from core.errors import UserError
from core.settings import LONGEST_TEXT, Settings, validated
from core.specs.spec import Recipe, checked_spec
from tests.training.tiny import tiny_spec


def all_settings() -> list[type[Settings]]:
    """Every settings model of the product."""
    here = Path(core.__file__).parent
    for path in here.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if ("(Settings)" in text and path.stem != "settings") or path.name == "settings.py":
            importlib.import_module(".".join(["core", *path.relative_to(here).with_suffix("").parts]))
    found = [Settings]
    for kind in found:
        found += kind.__subclasses__()
    return found[1:]


def numbers(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number of a JSON schema, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield place, schema
        for key, inside in schema.items():
            yield from numbers(inside, f"{place}.{key}")
    elif isinstance(schema, list):
        for inside in schema:
            yield from numbers(inside, place)


def test_every_number_has_both_bounds() -> None:
    found = {
        f"{kind.__name__}{place}": schema
        for kind in all_settings()
        for place, schema in numbers(kind.model_json_schema())
    }
    assert len(found) > 60
    unbounded = [
        place
        for place, schema in found.items()
        if not {"minimum", "exclusiveMinimum"} & set(schema)
        or not {"maximum", "exclusiveMaximum"} & set(schema)
    ]
    assert unbounded == []


def _kinds_in(annotation: Any) -> set[Any]:
    """Every type in an annotation."""
    inside = [annotation]
    for kind in inside:
        inside += get_args(kind)
    return {kind for kind in inside if isinstance(kind, type)}


def number_fields() -> list[tuple[type[Settings], str]]:
    """Every field that holds a number, or several, and nothing else."""
    return [
        (kind, name)
        for kind in all_settings()
        for name, field in kind.model_fields.items()
        if {int, float} & _kinds_in(field.annotation)
        and not {str, bool, dict} & _kinds_in(field.annotation)
        and not any(issubclass(one, Settings) for one in _kinds_in(field.annotation))
    ]


def refuses(kind: type[Settings], name: str, value: Any) -> bool:
    """Whether a field of a model, whatever else that lacks, does not take a value."""
    several = tuple in _kinds_in(kind.model_fields[name].annotation)
    try:
        kind.model_validate({name: [value] if several else value})
    except ValidationError as problem:
        return any(name in one["loc"] or (not one["loc"] and name in one["msg"]) for one in problem.errors())
    return False


WRONG = (
    *(float("inf"), float("-inf"), float("nan"), 10**400, -(10**400), 2**63, -(2**63), 1e300, -1, -0.5),
    *(True, False, "", "x", "inf", "nan", "1e999", "1:30", "yes", [[]], {}, "9" * 5000, "\ud800", b"\xff"),
)


def test_no_number_takes_what_is_out_of_range_or_no_number() -> None:
    fields = number_fields()
    assert len(fields) > 50
    taken = [
        f"{kind.__name__}.{name} takes {str(value)[:20]!r}"
        for kind, name in fields
        for value in WRONG
        if not refuses(kind, name, value)
    ]
    assert taken == []


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (
            "train_seeds",
            [2**63],
            r"'train_seeds.0': Input should be less than or equal to 9223372036854775807",
        ),
        ("eval_seeds", [-1], r"'eval_seeds.0': Input should be greater than or equal to 0"),
        ("train_seeds", list(range(1001)), r"'train_seeds': Tuple should have at most 1000 items"),
        (
            "variants",
            {"plain": None, **{f"v{number}": None for number in range(10_000)}},
            "these are 10,001 runs, more than 10,000",
        ),
        ("train_seeds", [True], r"train_seeds is a number, not true or false"),
        ("recipe.training.steps", 10**400, r"'training.steps': Input should be less than or equal to"),
        ("recipe.training.steps", True, r"steps is a number, not true or false"),
        ("recipe.training.steps", "yes", r"'training.steps': Input should be a valid integer"),
        ("recipe.training.steps", "1:30", r"'training.steps': Input should be a valid integer"),
        ("recipe.training.learning_rate", float("inf"), r"'training.learning_rate': Input should be"),
        (
            "recipe.training.learning_rate",
            float("nan"),
            r"'training.learning_rate': Input should be a finite",
        ),
        ("recipe.base_model", "x" * (LONGEST_TEXT + 1), r"'base_model': String should have at most"),
        ("baseline", 1.1, r"should be a valid string. A text that looks like a number needs quotes."),
    ],
)
def test_what_is_out_of_range_is_named(place: str, value: Any, sentence: str) -> None:
    spec = tiny_spec()
    *path, last = place.split(".")
    inner: Any = spec
    for part in path:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(UserError, match=sentence) as problem:
        checked_spec(spec, "trial.yaml")
    assert "\n" not in str(problem.value)


def test_a_truth_value_stays_one_where_it_is_wanted() -> None:
    training = {"recompute": True, "lora": {"dora": True}}
    value = {"base_model": "tiny", "mixture": {"sources": [{"source": "toy"}]}, "training": training}
    assert validated(Recipe, value, "trial").training.recompute is True
