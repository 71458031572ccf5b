"""Kaggle's layout: challenges and solutions in files of their own, one pair of files for each part of a set.

`arc-agi_training_challenges.json` lies beside `arc-agi_training_solutions.json`, and so do the files of the
part "evaluation". The file of the part "test" is a placeholder before the rerun: it repeats other tasks
without answers. A folder or zip of several parts becomes a source for each.
"""

import contextlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.importing.archives import is_placeholder, members_of
from core.importing.layouts import Candidate
from core.storage.untrusted_json import parse_json

PLACEHOLDER = "Kaggle's test file holds a placeholder of this id; the task itself was taken."
_PART = re.compile(r"[a-z0-9]+")


def kaggle_name(path: str, what: str) -> str | None:
    """What a path names besides being Kaggle's file of `what` ("challenges", "solutions"); None where it is
    none. Words may be parted by `_`, `-` or a blank."""
    plain = re.sub(r"[-_ ]+", "_", path.lower())
    matched = re.fullmatch(rf"(.*?)_?{what}\.json(\.gz)?", plain)
    return matched[1] if matched else None


def solutions_beside(path: Path) -> dict[str, Mapping[str, Any]]:
    """In a folder or zip: what each file of solutions holds, by what is common to its name and that of the
    challenges that it belongs to. Raises `UserError` where two of them contradict each other."""
    found: dict[str, Mapping[str, Any]] = {}
    twice: list[str] = []
    if path.is_dir() or zipfile.is_zipfile(path):
        for member in members_of(path, r"(?i:.*solutions\.json(\.gz)?)"):
            with contextlib.suppress(UserError):  # listed as broken when its turn comes
                value = parse_json(member.data, member.path)
                name = str(kaggle_name(member.path, "solutions"))
                if isinstance(value, Mapping) and found.setdefault(name, value) != value:
                    twice.append(member.path)
    if twice:
        raise UserError(f"{path} holds two files of solutions for one set: {twice[0]}. Remove one of them.")
    return found


def parts_of(path: Path) -> list[str]:
    """The parts of a folder or zip in Kaggle's layout, "test" last; none where there are not two with tasks,
    or their names don't tell them apart."""
    if not path.is_dir() and not zipfile.is_zipfile(path):
        return []
    members = members_of(path, r"(?i:.*challenges\.json(\.gz)?)")
    found = [_part(member.path) for member in members if member.kind != "skipped"]
    parts = [part for part in found if part]
    if len(parts) != len(found) or len(set(parts)) != len(parts) or len({*parts} - {"test"}) < 2:
        return []
    return sorted(parts, key=lambda part: part == "test")


def _part(path: str) -> str:
    """The part that a file of challenges holds: the last word of what its name has besides."""
    name = kaggle_name(path, "challenges") or ""
    part = "test" if is_placeholder(path) else re.split(r"[_/]", name)[-1]
    return part if _PART.fullmatch(part) else ""


def by_part(candidates: Iterable[Candidate], parts: list[str]) -> dict[str, list[Candidate]]:
    """The candidates of each part; what belongs to none is reported with the first. Of the placeholder only
    tasks that no other part holds are left; where there are none, the part is."""
    grouped: dict[str, list[Candidate]] = {part: [] for part in parts}
    for one in candidates:
        grouped.get(_part(one.place or one.task_id), grouped[parts[0]]).append(one)
    known = {one.task_id for part in parts if part != "test" for one in grouped[part] if one.problem is None}
    for one in grouped.pop("test", []):
        if one.problem is not None:
            grouped[parts[0]].append(one)
        elif one.task_id in known:
            grouped[parts[0]].append(replace(one, record=None, problem=PLACEHOLDER, kind="doubled"))
        else:
            grouped.setdefault("test", []).append(one)
    return grouped
