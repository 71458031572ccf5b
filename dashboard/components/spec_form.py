"""The form of a spec that is being written: variants as a table, sources as a list, seeds as ranges.

In comes the data of a draft, which may be wrong anywhere; every change goes to `change`, wrong or not, and
what is wrong is said at its field. A table is made anew after each change, to show what the draft holds.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.curation.flag_rules import RULES
from core.curation.partitions import list_partitions
from core.curation.sources import list_sources
from core.errors import UserError
from core.importing.known_sets import SET_OF
from core.specs.draft import (
    EVALUATED,
    Data,
    default_of,
    parse_seeds,
    seeds_text,
    settings_names,
    sources_of,
    variant_rows,
    with_sources,
    with_value,
    with_variant_rows,
)
from core.specs.draft_problems import Problem
from core.specs.spec import ExperimentSpec
from dashboard.components.widget_state import is_entry, put_value
from dashboard.components.wording import plain

Change = Callable[[Callable[[Data], Data]], None]
"""Takes what a person did as a function of the draft's data, as the draft may have moved on meanwhile."""

SEEDS_HELP = "`0-4`, or `0, 2, 5`, or `5x` for the first five."
SHARED = "all variants"
_DRAWS_FROM = "draws from"
EVALUATED_COLUMNS = ("source", "max_cells", "partition", "flag_rule")
SHARE_COLUMNS = ("source", "weight", "max_cells", "partition", "flag_rule")
PREFIXES = ("", "reversed:", "demos:", "reversed:demos:")
USUAL = ("training.steps", "training.learning_rate", "training.method", "training.lora.rank", "base_model")
_VERSION = "tables of the form"


def say(problems: Sequence[Problem], *keys: str) -> None:
    """The problems that stand at these keys or below them, in red below their field."""
    for one in problems:
        if any(one.key == key or one.key.startswith(f"{key}.") for key in keys):
            st.markdown(f":red[{plain(one.sentence)}]")


def heads(data: Data, problems: Sequence[Problem], change: Change) -> None:
    """Question, name, trainings and evaluations."""
    _text(data, "question", ExperimentSpec.model_fields["question"].description or "", change)
    columns = st.columns(3)
    with columns[0]:
        _text(data, "name", ExperimentSpec.model_fields["name"].description or "", change)
        say(problems, "name")
    for column, key, label in zip(
        columns[1:], ("train_seeds", "eval_seeds"), ("train seeds", "eval seeds"), strict=True
    ):
        with column:
            _seeds(data, key, label, change)
            say(problems, key)
    say(problems, "question", "baseline", "metrics", "evaluation.inference", "")


def _text(data: Data, key: str, words: str, change: Change) -> None:
    value = str(data.get(key) or "")
    name = f"form:{key}"
    put_value(name, value)

    def take() -> None:
        typed = st.session_state[name] or None
        if is_entry(name):
            change(lambda now: with_value(now, (key,), typed))

    st.text_input(key, value, key=name, help=words, on_change=take)


def _seeds(data: Data, key: str, label: str, change: Change) -> None:
    """Seeds as text; what can't be read stays in the draft as it was typed."""
    value = data.get(key, ExperimentSpec.model_fields[key].default)
    listed = isinstance(value, list | tuple) and all(isinstance(one, int) for one in value)
    text = seeds_text(value) if listed else str(value)
    name = f"form:{key}"
    put_value(name, text)

    def take() -> None:
        typed = st.session_state[name]
        if not is_entry(name):
            return
        try:
            seeds: Any = parse_seeds(typed)
        except UserError:
            seeds = typed
        change(lambda now: with_value(now, (key,), seeds))

    st.text_input(label, text, key=name, help=SEEDS_HELP, on_change=take)


def _key(name: str) -> str:
    """The key of a table, which changes with each change, so that the table is made anew."""
    return f"{name} {st.session_state.get(_VERSION, 0)}"


def _apply(change: Change, edit: Callable[[Data], Data]) -> None:
    st.session_state[_VERSION] = st.session_state.get(_VERSION, 0) + 1
    change(edit)


def variants_table(data: Data, problems: Sequence[Problem], change: Change) -> None:
    """Variants as rows: rename in place, add at the end, delete by selecting; a cell overrules the recipe."""
    keys, rows = variant_rows(data)
    st.markdown(
        "**Variants**",
        help="A cell holds what differs from the shared recipe, as in YAML; empty means the same."
        " The last row adds a variant; selected rows are deleted with the key Delete or the bin.",
    )
    key = _key("variants")

    def take() -> None:
        _take_variants(st.session_state[key], keys, rows, change)

    config: dict[str, Any] = {"name": st.column_config.TextColumn("variant", required=True)}
    config |= {one: st.column_config.TextColumn(one.replace("_", " ")) for one in keys}
    config[_DRAWS_FROM] = st.column_config.TextColumn("sources", help="Those of its own, edited below.")
    owns = {row["name"]: ", ".join(_names(sources_of(data, row["name"]))) for row in rows}
    shown = [{**row, _DRAWS_FROM: owns[row["name"]]} for row in rows] if any(owns.values()) else rows
    st.data_editor(
        shown,
        key=key,
        placeholder="",
        disabled=[_DRAWS_FROM],
        num_rows="dynamic",
        hide_index=True,
        column_config=config,
        column_order=["name", *keys, _DRAWS_FROM],
        on_change=take,
    )
    say(problems, "variants", "recipe")
    names = [row["name"] for row in rows]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _baseline(data, names, change)
        _duplicate(names, rows, change)
        _column(data, keys, rows, change)


def _take_variants(
    edits: dict[str, Any], keys: list[str], rows: list[dict[str, str]], change: Change
) -> None:
    """Lay what a person did in the table over its rows."""
    found: list[dict[str, Any]] = [{**row, "origin": row["name"]} for row in rows]
    renamed = {}
    for place, changed in edits["edited_rows"].items():
        row = found[int(place)]
        row |= {name: value or "" for name, value in changed.items() if name in ("name", *keys)}
        renamed[row["origin"]] = row["name"]
    gone = {int(place) for place in edits["deleted_rows"]}
    found = [row for place, row in enumerate(found) if place not in gone]
    found += [{"name": row.get("name") or "", **row} for row in edits["added_rows"] if row.get("name")]
    if edits["added_rows"] and not any(row.get("name") for row in edits["added_rows"]):
        return  # a row that is only begun
    _apply(change, lambda now: with_variant_rows(now, found, renamed))


def _baseline(data: Data, names: list[str], change: Change) -> None:
    value = str(data.get("baseline"))
    name = "form:baseline"
    put_value(name, value)
    known = names if value in names else [value, *names]

    def take() -> None:
        chosen = st.session_state[name]
        if is_entry(name):
            change(lambda now: with_value(now, ("baseline",), chosen))

    words = ExperimentSpec.model_fields["baseline"].description
    st.selectbox("baseline", known, known.index(value), key=name, width=180, help=words, on_change=take)


def _duplicate(names: list[str], rows: list[dict[str, str]], change: Change) -> None:
    def take() -> None:
        chosen = st.session_state["duplicate"]
        if chosen in names:
            copied = [*rows, {**rows[names.index(chosen)], "origin": chosen}]
            _apply(change, lambda now: with_variant_rows(now, copied))
        st.session_state["duplicate"] = None

    st.selectbox("duplicate", names, index=None, key="duplicate", on_change=take, width=180,
                 placeholder="a variant …", help="A copy of a variant, with its sources.")  # fmt: skip


def _column(data: Data, keys: list[str], rows: list[dict[str, str]], change: Change) -> None:
    """Let variants differ in one more setting: the first that is not the baseline starts with its default."""
    offered = [one for one in dict.fromkeys([*USUAL, *settings_names()]) if one not in keys]

    def take() -> None:
        chosen = st.session_state["one more setting"]
        if chosen in offered and rows:
            value = default_of(data, chosen)
            changed = [{**row, chosen: value} for row in rows]
            _apply(change, lambda now: with_variant_rows(now, changed))
        st.session_state["one more setting"] = None

    st.selectbox("differ in", offered, index=None, key="one more setting", on_change=take, width=220,
                 placeholder="one more setting …", filter_mode="contains",
                 help="A column for a setting; every variant starts with the shared value.")  # fmt: skip


def sources_table(root: Path, data: Data, problems: Sequence[Problem], change: Change) -> None:
    """The mixture as a list: source with its count, weight, caps, partition; for all variants or for one."""
    names = [row["name"] for row in variant_rows(data)[1]]
    own = [name for name in names if sources_of(data, name)]
    st.markdown("**Sources**", help="Where the samples of the training come from, and in which proportion; at"
                " the end, whose tasks are evaluated.")  # fmt: skip
    options = [SHARED, *names, EVALUATED]
    chosen = st.segmented_control(
        "sources of",
        options,
        default=SHARED,
        required=True,
        key="sources of",
        label_visibility="collapsed",
        format_func=lambda name: f"{name} (own)" if name in own else name,
    )
    variant = None if chosen in (None, SHARED) else chosen
    held = EVALUATED_COLUMNS if variant == EVALUATED else SHARE_COLUMNS
    shares = sources_of(data, variant)
    if variant not in (None, EVALUATED) and not shares:
        st.caption("Draws from the shared sources. The first row gives this variant sources of its own.")
    infos = {info.source: info for info in list_sources(root)}
    counts = {f"{prefix}{name}": info.tasks for name, info in infos.items() for prefix in PREFIXES}
    listed = list(dict.fromkeys([*(str(share.get("source")) for share in shares), *counts, *SET_OF]))
    columns: dict[str, list[Any]] = {name: [share.get(name) for share in shares] for name in held}
    columns["tasks"] = [counts.get(str(share.get("source"))) for share in shares]
    key = _key(f"sources {variant}")

    def take() -> None:
        edited = _edited(st.session_state[key], shares)
        _apply(change, lambda now: with_sources(now, variant, edited))

    st.data_editor(
        columns,
        key=key,
        placeholder="",
        num_rows="dynamic",
        hide_index=True,
        on_change=take,
        column_order=["source", "tasks", *held[1:]],
        disabled=["tasks"],
        column_config={
            "source": st.column_config.SelectboxColumn(
                "source", options=listed, required=True, width="medium"
            ),
            "tasks": st.column_config.NumberColumn("tasks", help="Tasks of the source, before any limit."),
            "weight": st.column_config.NumberColumn("weight", min_value=1e-6, help="1 where it is empty."),
            "max_cells": st.column_config.NumberColumn("at most cells", min_value=1, step=1),
            "partition": st.column_config.SelectboxColumn("partition", options=partitions(root)),
            "flag_rule": st.column_config.SelectboxColumn(
                "flags", options=list(RULES), help="Which flags make a reversed: source; latest if empty."
            ),
        },
    )
    say(problems, "sources", "recipe.mixture", "evaluation.sources")


def _names(shares: list[Data]) -> list[str]:
    """The sources of a mixture, as they are named."""
    return [str(share.get("source")) for share in shares]


def partitions(root: Path) -> list[str]:
    """The lists of all partitions, as a source names them."""
    found = []
    for partition in list_partitions(root):
        found += [f"{partition.name}/{name}" for name in partition.lists]
    return found


def _edited(edits: dict[str, Any], shares: list[Data]) -> list[Data]:
    """The shares with what a person did in their table."""
    found = [dict(share) for share in shares]
    for place, changed in edits["edited_rows"].items():
        found[int(place)] |= changed
    gone = {int(place) for place in edits["deleted_rows"]}
    found = [share for place, share in enumerate(found) if place not in gone]
    found += [{name: value for name, value in row.items() if name != "tasks"} for row in edits["added_rows"]]
    return [{name: value for name, value in share.items() if name != "tasks"} for share in found]
