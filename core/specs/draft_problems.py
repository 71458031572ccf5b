"""What keeps a draft from being a spec that can be launched: each problem at its key, in the form's words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.curation.source_names import stored_name
from core.curation.sources import list_sources
from core.errors import UserError
from core.importing.known_sets import SET_OF
from core.settings import nearest
from core.specs.draft import EVALUATED, NAME_RULE, SEEDS, Data, parse_seeds, sources_of
from core.specs.spec import NAME, checked_spec


@dataclass(frozen=True)
class Problem:
    """What keeps a draft from being a spec, in a sentence, and the dotted key it stands at (empty: all)."""

    key: str
    sentence: str


def problems(root: Path, data: Data) -> list[Problem]:
    """What keeps the data from being a spec that can be launched, each at its key."""
    variants = data.get("variants")
    names = list(variants) if isinstance(variants, dict) else []
    found = _name_problems(data.get("name"), names)
    found += _seed_problems(data) + _source_problems(root, data, names)
    if not found:
        try:
            checked_spec(data, "The spec")
        except UserError as problem:
            key = re.match(r"The spec: (?:unknown key )?'([^']*)'", str(problem))
            sentence = str(problem).removeprefix("The spec: ").replace(" Correct it in the file.", "")
            found.append(Problem(key.group(1) if key else "", sentence))
    return list(dict.fromkeys(found))


def _name_problems(name: Any, variants: Sequence[Any]) -> list[Problem]:
    found = []
    if not re.fullmatch(NAME, str(name or "")):
        found.append(Problem("name", f"'{name or ''}' can't be a folder's name. {NAME_RULE}"))
    for variant in variants:
        if not re.fullmatch(NAME, str(variant)):
            sentence = f"The variant '{variant}' can't be a folder's name. {NAME_RULE}"
            found.append(Problem(f"variants.{variant}", sentence))
    return found


def _seed_problems(data: Data) -> list[Problem]:
    """Seeds that a person wrote as text which can't be read, and that the draft keeps as it was written."""
    found = []
    for key in SEEDS:
        if isinstance(data.get(key), str):
            try:
                parse_seeds(data[key])
            except UserError as problem:
                found.append(Problem(key, str(problem)))
    return found


def _source_problems(root: Path, data: Data, variants: Sequence[Any]) -> list[Problem]:
    """Sources that are neither imported nor known by name; what is known can be imported on the page."""
    known = [info.source for info in list_sources(root)]
    offered = [*known, *(source for source in SET_OF if source not in known)]
    found = []
    for owner in (None, EVALUATED, *variants):
        for share in sources_of(data, owner):
            source, key = str(share.get("source")), "evaluation.sources" if owner == EVALUATED else "sources"
            try:
                stored = stored_name(source)
            except UserError as problem:
                found.append(Problem(key, str(problem)))
                continue
            if stored not in offered:
                near = nearest(stored, offered)
                hint = f"Did you mean '{near}'?" if near else f"There are: {', '.join(offered)}."
                sentence = f"There is no source '{source}'. {hint}"
                found.append(Problem(key, sentence))
    return found
