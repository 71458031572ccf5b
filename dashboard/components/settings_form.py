"""Forms made from settings: a widget for each field, by its type and bounds, with its description as help.

A change is handed to the caller as a key and a plain value; the caller decides what becomes of it.
"""

import math
import types
import typing
from collections.abc import Callable
from typing import Any

import streamlit as st
from pydantic.fields import FieldInfo

from core.errors import UserError
from core.settings import Settings
from core.specs.differing_settings import as_text
from core.yaml_text import parse_yaml
from dashboard.components.glossary_links import more
from dashboard.components.widget_state import is_entry, put_value

Key = tuple[str, ...]
Change = Callable[[Key, Any], None]

COLUMNS = 3
LARGEST = 2**53 - 1
"""The largest whole number of a browser."""


def settings_form(settings: Settings, above: Key, change: Change) -> None:
    """Widgets for all fields; settings inside these settings follow under a title of their own."""
    fields = type(settings).model_fields
    simple = [name for name in fields if not isinstance(getattr(settings, name), Settings)]
    columns = st.columns(COLUMNS)
    for place, name in enumerate(simple):
        with columns[place % COLUMNS]:
            field_widget(fields[name], getattr(settings, name), (*above, name), change)
    for name in fields:
        inner = getattr(settings, name)
        if isinstance(inner, Settings):
            st.caption(f"{title_of(name)}: {fields[name].description}")
            settings_form(inner, (*above, name), change)


def field_widget(field: FieldInfo, value: Any, key: Key, change: Change) -> None:
    """The widget of one field, showing `value`; a person's change goes to `change(key, value)`."""
    kind, choices = _kind_of(field.annotation)
    shown = _shown(kind, value)
    name = "form:" + ".".join(key)
    put_value(name, shown)

    def changed() -> None:
        if is_entry(name):
            change(key, _plain(kind, st.session_state[name]))

    common: dict[str, Any] = {
        "help": f"{field.description}{more(key[-1])}",
        "key": name,
        "on_change": changed,
    }
    label = title_of(key[-1])
    if kind is bool:
        st.toggle(label, shown, **common)
    elif choices:
        st.selectbox(label, choices, choices.index(shown) if shown in choices else None, **common)
    elif kind in (int, float):
        low, high = _bounds(field, kind)
        options: dict[str, Any] = {"step": 1, "format": "%d"}
        if kind is float:
            options = {"step": _step(field), "format": "%g"}
        st.number_input(label, low, high, shown, placeholder="none", **options, **common)
    elif kind is str or kind is tuple:
        st.text_input(label, shown, **common)
    else:
        common.pop("on_change")
        common["help"] = f"{field.description} Change it in the YAML."
        st.text_input(label, shown, disabled=True, **common)


def title_of(name: str) -> str:
    """A key of the YAML as a label."""
    return name.replace("_", " ")


def _kind_of(annotation: Any) -> tuple[Any, list[Any]]:
    """The type that decides the widget, and the choices where they are listed."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        (annotation,) = (part for part in typing.get_args(annotation) if part is not type(None))
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return origin, list(inside)
    if (origin is tuple and inside[0] in (str, int)) or (origin is tuple and typing.get_origin(inside[0])):
        return tuple, []
    return (annotation if annotation in (bool, int, float, str) else None), []


def _shown(kind: Any, value: Any) -> Any:
    """What the widget shows of a value."""
    if kind is tuple:
        return ", ".join(map(str, value))
    if kind in (bool, str):
        return kind(value or "")
    return as_text(value) if kind is None else value


def _plain(kind: Any, value: Any) -> Any:
    """What a person entered, as YAML data; a list that can't be read stays text, which is refused later."""
    if kind is str:
        return value or None
    if kind is not tuple:
        return value
    try:
        return parse_yaml(f"[{value}]", "The list") or None
    except UserError:
        return value


def _bounds(field: FieldInfo, kind: Any) -> tuple[Any, Any]:
    """Lowest and highest value that the widget takes; an excluded bound is left to the settings."""
    found = {name: getattr(part, name) for part in field.metadata for name in ("ge", "gt", "le", "lt")
             if getattr(part, name, None) is not None}  # fmt: skip
    low, high = found.get("ge", found.get("gt")), found.get("le", found.get("lt"))
    low, high = (None if one is None else max(-LARGEST, min(LARGEST, kind(one))) for one in (low, high))
    return low, high


def _step(field: FieldInfo) -> float:
    """One unit of the default's leading digit, such as 0.001 for 0.003."""
    default = field.default
    return 10.0 ** math.floor(math.log10(default)) if isinstance(default, float) and default > 0 else 0.1
