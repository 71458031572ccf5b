"""A spec while a person writes it: it may be wrong anywhere, and nothing that was typed is lost.

A draft is YAML text. Changes go into its data whatever they are; `draft_problems` says at which key it is no
spec yet, in the words of the form. What differs between variants is a table of dotted settings.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from core.errors import UserError
from core.plain_files import read_text
from core.specs.edit import as_yaml
from core.specs.spec import MOST_SEEDS, NAME, Recipe, specs_folder
from core.storage.files import write_text
from core.yaml_text import parse_yaml

DRAFTS = ".drafts"
NAME_RULE = "Begin with a letter or digit; letters, digits, '.', '_' and '-' may follow, 64 in all."

SEEDS = ("train_seeds", "eval_seeds")
EVALUATED = "evaluated tasks"
"""Whose sources are those of the evaluation; no name of a variant, which has no blank."""

Data = dict[str, Any]


def draft_path(root: Path, name: str) -> Path:
    """Where the draft of a spec lies. Raises `UserError` for a name that is no name."""
    if not re.fullmatch(NAME, name):
        raise UserError(f"'{name}' can't name a spec. {NAME_RULE}")
    return specs_folder(root) / DRAFTS / f"{name}.yaml"


def read_draft(root: Path, name: str) -> str | None:
    """The draft of a spec as it was left; None where there is none."""
    path = draft_path(root, name)
    try:
        return read_text(path)
    except UserError:
        return None


def keep_draft(root: Path, name: str, text: str) -> None:
    """Keep a draft, so that it outlives the page."""
    write_text(draft_path(root, name), text)


def drop_draft(root: Path, name: str) -> None:
    """Forget a draft: the spec on disk holds."""
    draft_path(root, name).unlink(missing_ok=True)


def list_drafts(root: Path) -> list[str]:
    """Names of the drafts, in the order of the alphabet."""
    return sorted(path.stem for path in (specs_folder(root) / DRAFTS).glob("*.yaml"))


def data_of(text: str) -> Data:
    """The data of a draft. Raises `UserError` where it is no YAML or no mapping."""
    data = parse_yaml(text, "The draft")
    if not isinstance(data, dict):
        raise UserError("The draft is no mapping of keys to values. Begin with name, baseline, variants.")
    return data


def with_value(data: Data, key: Sequence[str], value: Any) -> Data:
    """The data with one setting changed; None takes it out, so that its default holds."""
    first, *rest = key
    below = data.get(first)
    if rest:
        changed: Any = with_value(below if isinstance(below, dict) else {}, rest, value)
        return {**data, first: changed}
    if value is None:
        return {name: one for name, one in data.items() if name != first}
    return {**data, first: value}


def text_with(text: str, data: Data) -> str:
    """The text of a draft with this data: keys at the top that did not change stay as they were written, with
    their comments."""
    try:
        old = data_of(text)  # first: it bounds the depth
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, UserError):
        return as_yaml(data)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return as_yaml(data)
    lines = text.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in node.value]
    names = [key.value for key, _ in node.value]
    parts = ["".join(lines[: starts[0]])] if starts else []
    for place, name in enumerate(names):
        end = starts[place + 1] if place + 1 < len(starts) else len(lines)
        block = lines[starts[place] : end]
        if name not in data:
            continue
        tail = len(block)
        while tail and (not block[tail - 1].strip() or block[tail - 1].startswith("#")):
            tail -= 1
        kept = block[:tail] if data[name] == old.get(name) else [as_yaml({name: data[name]})]
        parts += [*kept, *block[tail:]]
        if kept and not kept[-1].endswith("\n"):
            parts.append("\n")
    fresh = {name: value for name, value in data.items() if name not in names}
    result = "".join(parts) + (as_yaml(fresh) if fresh else "")
    try:
        return result if data_of(result) == data else as_yaml(data)
    except UserError:
        return as_yaml(data)


def parse_seeds(text: str) -> list[int]:
    """Seeds as people write them: `0-4`, `0, 2, 5`, `0-2, 7`, or `5x` for the first five.

    Raises `UserError` naming the part that is none.
    """
    seeds: list[int] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        found = re.fullmatch(r"(\d{1,9})(?:\s*[-–]\s*(\d{1,9}))?|(\d{1,4})\s*[x×]", part)
        if found is None:
            raise UserError(f"'{part[:40]}' is no seed. Write 0-4, or 0, 2, 5, or 5x for the first five.")
        first, last, count = found.groups()
        begin, end = (0, int(count) - 1) if count else (int(first), int(last or first))
        if end - begin >= MOST_SEEDS or len(seeds) >= MOST_SEEDS:
            raise UserError(f"'{part}' are more than {MOST_SEEDS:,} seeds. Write fewer.")
        if end < begin:
            raise UserError(f"'{part}' runs backwards. Write the smaller seed first.")
        seeds += range(begin, end + 1)
    if not seeds:
        raise UserError("No seed is left. Write at least one, such as 0.")
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise UserError(f"Seed {twice[0]} stands there twice. Write each once.")
    return seeds


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds as `parse_seeds` reads them, neighbours as a range."""
    parts: list[tuple[int, int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][1] + 1:
            parts[-1] = parts[-1][0], seed
        else:
            parts.append((seed, seed))
    return ", ".join(str(a) if a == b else f"{a}-{b}" if b > a + 1 else f"{a}, {b}" for a, b in parts)


def variant_rows(data: Data) -> tuple[list[str], list[dict[str, str]]]:
    """The settings that variants name (dotted, without their sources), and a row per variant: name, and its
    value of each as YAML; empty where the shared recipe holds."""
    variants = data.get("variants")
    leaves = {
        str(name): dict(_leaves(changes or {}))
        for name, changes in (variants.items() if isinstance(variants, dict) else ())
        if isinstance(changes, dict | None)
    }
    keys = list(dict.fromkeys(key for own in leaves.values() for key in own))
    return keys, [
        {"name": name, **{key: _flow(own[key]) if key in own else "" for key in keys}}
        for name, own in leaves.items()
    ]


def with_variant_rows(
    data: Data, rows: Sequence[Mapping[str, Any]], renamed: Mapping[str, str] | None = None
) -> Data:
    """The data with variants as these rows say. A row's `origin` is the variant that it was, or was copied
    from, whose sources it keeps. Values that are no YAML stay text."""
    before = data.get("variants")
    old = before if isinstance(before, dict) else {}
    variants: Data = {}
    for row in rows:
        name = _free(str(row["name"] or "variant").strip(), variants)
        origin = old.get(row.get("origin") or row["name"])
        changes: Data = {}
        if isinstance(origin, dict) and "mixture" in origin:
            changes["mixture"] = origin["mixture"]
        for key, text in row.items():
            if key not in ("name", "origin") and text not in (None, ""):
                changes = with_value(changes, key.split("."), _value(str(text)))
        variants[name] = changes
    result = {**data, "variants": variants}
    moved = (renamed or {}).get(str(data.get("baseline")))
    return {**result, "baseline": moved} if moved else result


def _free(name: str, taken: Mapping[str, Any]) -> str:
    number, found = 2, name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _leaves(value: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, below in value.items():
        key = f"{above}{name}"
        if key == "mixture":
            continue
        found += _leaves(below, f"{key}.") if isinstance(below, dict) and below else [(key, below)]
    return found


def _flow(value: Any) -> str:
    """A value in one line, as `_value` reads it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _value(text: str) -> Any:
    try:
        return parse_yaml(text, "The value")
    except UserError:
        return text


def _sources_key(owner: str | None) -> tuple[str, ...]:
    if owner == EVALUATED:
        return ("evaluation", "sources")
    return (*(("recipe",) if owner is None else ("variants", owner)), "mixture", "sources")


def sources_of(data: Data, owner: str | None) -> list[Data]:
    """The shares of the mixture that all variants have (None), or that one variant names for itself; of
    `EVALUATED` the sources that are evaluated."""
    shares: Any = data
    for name in _sources_key(owner):
        shares = shares.get(name) if isinstance(shares, dict) else None
    return [share for share in shares if isinstance(share, dict)] if isinstance(shares, list) else []


def with_sources(data: Data, owner: str | None, shares: Sequence[Mapping[str, Any]]) -> Data:
    """The data with these shares; without any, a variant loses its list, so that the shared one holds."""
    kept = [{key: value for key, value in share.items() if value not in (None, "")} for share in shares]
    kept = [share for share in kept if share.get("source")]
    if owner not in (None, EVALUATED) and not kept:
        return with_value(data, _sources_key(owner)[:-1], None)
    return with_value(data, _sources_key(owner), kept)


def settings_names() -> list[str]:
    """Every setting of a recipe that holds a plain value, dotted."""
    found = []

    def walk(kind: Any, above: str) -> None:
        for name, field in kind.model_fields.items():
            if name != "mixture" and hasattr(field.annotation, "model_fields"):
                walk(field.annotation, f"{above}{name}.")
            elif name != "mixture":
                found.append(f"{above}{name}")

    walk(Recipe, "")
    return found


def default_of(data: Data, key: str) -> str:
    """The shared value of a setting, as a cell shows it."""
    value: Any = data.get("recipe") or {}
    kind: Any = Recipe
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
        field = kind.model_fields[name]
        kind = field.annotation
    shown = field.get_default(call_default_factory=True) if value is None else value
    return "null" if shown is None else str(shown).lower() if isinstance(shown, bool) else str(shown)
