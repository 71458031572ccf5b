"""YAML as people write it: read with the scalars of YAML 1.2, bounded, each key once.

YAML 1.1 reads `010` as 8, `1:30` as 90 and `yes` as true; here they are 10 and two texts. A key is always
the text that stands there, so a variant called `1.10` keeps its name. In come texts, out goes plain data:
mappings, lists, texts, numbers, truth values, None.
"""

import copy
import functools
import re
from typing import Any, ClassVar

import yaml

from core.errors import UserError

MAX_TEXT = 1_000_000
MAX_VALUES = 100_000
MAX_DEPTH = 50
MAX_DIGITS = 40
MOST_KEPT = 20_000

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (r"null|Null|NULL|~|", "nN~"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}
"""The core schema of YAML 1.2 (section 10.3.2): a pattern and the characters it begins with; and merged
keys, which YAML 1.2 left out and people use."""


def add_scalars(kind: type[yaml.SafeLoader] | type[yaml.SafeDumper]) -> None:
    """Let a loader resolve plain scalars as YAML 1.2 does, or a dumper quote what they would be taken for."""
    for name, (pattern, first) in _SCALARS.items():
        beginnings = [*first, *([""] if name == "null" else [])]
        kind.add_implicit_resolver(_TAG + name, re.compile(f"(?:{pattern})$"), beginnings)


def parse_yaml(text: str, where: str) -> Any:
    """The plain data of a YAML text, safely loaded and of bounded size. Raises `UserError` naming `where`."""
    if len(text) > MAX_TEXT:
        raise UserError(f"{where} is longer than {MAX_TEXT:,} characters. Shorten it.")
    try:
        value = copy.deepcopy(_kept(text)) if len(text) <= MOST_KEPT else yaml.load(text, _Loader)
    except RecursionError:
        raise UserError(f"{where} is no valid YAML (it is nested too deeply). Correct the file.") from None
    except (yaml.YAMLError, ValueError, KeyError) as problem:
        raise UserError(f"{where} is no valid YAML ({_reason(problem)}). Correct the file.") from None
    _check_bounds(value, where)
    return value


@functools.lru_cache(maxsize=64)
def _kept(text: str) -> Any:
    """The data of a short text, which is read once however often a page asks for it: reading takes as long as
    all else that a page does with it."""
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2, which takes no key twice: one of the two values would be
    lost without a word."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as PyYAML declares it
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: function
        for tag, function in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in ("null", "bool", "str", "seq", "map")
    }

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
        node.value = [(_as_text(key), value) for key, value in node.value]

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """A whole number; `0o17` and `0x1f` are octal and hexadecimal, `017` is seventeen."""
        text = str(self.construct_scalar(node))
        if len(text) > MAX_DIGITS:
            problem = f"a number of {len(text):,} digits, of which at most {MAX_DIGITS} are read"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)

    def construct_real(self, node: yaml.ScalarNode) -> float:
        """A number with a fraction or an exponent, `.inf` or `.nan`."""
        return float(str(self.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


def _as_text(key: yaml.Node) -> yaml.Node:
    """A key as the text that stands there."""
    if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
        return key
    return yaml.ScalarNode(f"{_TAG}str", key.value, key.start_mark, key.end_mark)


add_scalars(_Loader)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_integer)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_real)


def _reason(problem: Exception) -> str:
    """What the parser finds wrong, and in which line."""
    mark = getattr(problem, "problem_mark", None)
    if mark is None:
        return str(problem).replace("\n", " ")
    return f"line {mark.line + 1}: {getattr(problem, 'problem', None) or 'unreadable'}"


def _check_bounds(value: Any, where: str) -> None:
    """Raise `UserError` where the data, with every alias counted as often as it is used, holds more than
    `MAX_VALUES` values or is nested more deeply than `MAX_DEPTH`."""
    waiting = [(value, 1)]
    for _ in range(MAX_VALUES):
        if not waiting:
            return
        one, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise UserError(f"{where} is nested more than {MAX_DEPTH} levels deep. Correct the file.")
        if isinstance(one, dict | list):
            inside = one.values() if isinstance(one, dict) else one
            waiting += [(member, depth + 1) for member in inside]
    if waiting:
        raise UserError(
            f"{where} holds more than {MAX_VALUES:,} values once its aliases are filled in. Shorten it."
        )
