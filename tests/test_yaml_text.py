"""YAML is read with the scalars of YAML 1.2, each key is a text, and no file is too large, deep or odd."""

from typing import Any

import pytest

from core.errors import UserError
from core.specs.edit import as_yaml
from core.yaml_text import MAX_DEPTH, MAX_DIGITS, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("-07", -7),
        ("0o17", 15),
        ("0x1f", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.10", 1.1),
        ("-.inf", float("-inf")),
        ("True", True),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("off", "off"),
        ("0b1", "0b1"),
        ("2001-01-01", "2001-01-01"),
        ("=", "="),
        ("'010'", "010"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(f"key: {text}\nlist: [{text}]", "The spec")
    assert found["key"] == value
    assert type(found["key"]) is type(value)
    assert found["list"] == ([value] if text else [])


@pytest.mark.parametrize("key", ["1.10", "010", "yes", "null", "1e3", "1:30", "~"])
def test_a_key_is_the_text_that_stands_there(key: str) -> None:
    assert parse_yaml(f"variants:\n  {key}: 1", "The spec") == {"variants": {key: 1}}


def test_what_is_written_is_read_back() -> None:
    texts = ["010", "0o17", "1e3", "1_000", "yes", "1:30", "~", "null", "2001-01-01", ".5", ".inf", "<<", "-"]
    value = {"texts": texts, "numbers": [1e-5, 1e300, float("inf"), 3.0, 10**30], **dict.fromkeys(texts, 1)}
    assert parse_yaml(as_yaml(value), "The spec") == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: " + "9" * (MAX_DIGITS + 1), r"line 1: a number of 41 digits, of which at most 40 are read"),
        ("a:\n  - " + "9" * 5000, r"line 2: a number of 5,000 digits"),
        ("[" * 3000, r"it is nested too deeply"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), r"nested more than 50 levels deep"),
        ("&a [*a]", r"nested more than 50 levels deep"),
        ("a: !!set {x}", r"line 1: could not determine a constructor for the tag"),
        ("a: !!timestamp 2001-01-01", r"line 1: could not determine a constructor"),
        ("a: !!bool maybe", r"is no valid YAML"),
        ("a: !!int many", r"is no valid YAML"),
        ("{[1]: 2}", r"line 1: found unhashable key"),
        ("a: \x00", r"is no valid YAML"),
        ("x: &x [" + "1, " * 400 + "]\ny: [" + "*x, " * 400 + "]", r"holds more than 100,000 values"),
    ],
)
def test_what_can_not_be_read_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as problem:
        parse_yaml(text, "spec.yaml")
    assert "\n" not in str(problem.value)
    assert len(str(problem.value)) < 300


def test_what_was_read_is_the_readers_own() -> None:
    parse_yaml("a: [1]", "The spec")["a"].append(2)
    assert parse_yaml("a: [1]", "The spec") == {"a": [1]}
