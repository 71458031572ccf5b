"""Specs while people work on them: changed key by key, written as YAML, kept in data/experiments."""

from pathlib import Path
from typing import Any

import yaml

from core.errors import UserError
from core.plain_files import read_text
from core.specs.spec import ExperimentSpec, checked_spec, read_spec, spec_from_text, specs_folder
from core.storage.files import write_text
from core.yaml_text import add_scalars, parse_yaml


def stands_in_the_way(root: Path, spec: ExperimentSpec) -> bool:
    """Whether data/experiments holds another spec, or something unreadable, under the name of this one."""
    path = specs_folder(root) / f"{spec.name}.yaml"
    if not path.exists():
        return False
    try:
        return read_spec(path) != spec
    except UserError:
        return True


def save_spec(root: Path, text: str, *, replace: bool = False) -> Path:
    """Keep the text of a spec as data/experiments/<its name>.yaml; the file.

    A file that says the same is left as its author wrote it. Raises `UserError` where the text is no
    spec, or where another spec of that name stands there and is not to be replaced.
    """
    spec = spec_from_text(text, "The spec")
    path = specs_folder(root) / f"{spec.name}.yaml"
    if stands_in_the_way(root, spec):
        if not replace:
            raise UserError(f"{path.relative_to(root)} holds another spec. Give this one another name.")
    elif path.exists():
        return path
    write_text(path, text if text.endswith("\n") else text + "\n")
    return path


def write_example(root: Path) -> Path:
    """Copy the spec that ships with the project to data/experiments; the file."""
    shipped = specs_folder(Path(__file__).parents[2]) / "demo.yaml"
    if not shipped.exists():
        raise UserError("The shipped spec data/experiments/demo.yaml is gone. Restore it with git.")
    return save_spec(root, read_text(shipped))


def changed_text(text: str, key: tuple[str, ...], value: Any) -> str:
    """The YAML text of a spec with one setting changed, such as ("recipe", "training", "steps").

    None takes the setting out, so that its default holds. Comments are lost. Raises `UserError` where
    the text, or what it becomes, is no spec.
    """
    data = parse_yaml(text, "The spec")
    if not isinstance(data, dict):
        raise UserError("The spec is no mapping of keys to values. Correct it.")
    below = data
    for name in key[:-1]:
        if not isinstance(below.get(name), dict):
            below[name] = {}
        below = below[name]
    if value is None:
        below.pop(key[-1], None)
    else:
        below[key[-1]] = value
    checked_spec(data, "The spec")
    return as_yaml(data)


def as_yaml(data: Any) -> str:
    """Plain data as YAML that people like to read: short lists and their members stand in one line."""
    return yaml.dump(data, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=100)


class _Readable(yaml.SafeDumper):
    """Block style for mappings, flow style inside lists."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's own signature
        return True


def _inline(dumper: yaml.SafeDumper, members: list[Any]) -> yaml.Node:
    if all(not isinstance(member, dict | list) for member in members):
        return dumper.represent_sequence("tag:yaml.org,2002:seq", members, flow_style=True)
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", members, flow_style=False)
    for child in node.value:
        child.flow_style = True
    return node


_Readable.add_representer(list, _inline)
add_scalars(_Readable)
