"""Ways in which a file can be damaged: bytes lost or changed, another shape, another type at one place."""

import copy
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.specs.edit import as_yaml
from core.yaml_text import parse_yaml

STRANGE: tuple[Any, ...] = (
    None,
    "text",
    -1,
    1.5,
    True,
    [],
    [1],
    {},
    {"a": None},
    10**30,
    "\ud800",
    float("inf"),
)
SHAPES = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "list of 1": b"[1]",
    "mapping": b"{}",
    "text": b'"text"',
    "number": b"12",
    "long number": b"9" * 5000,
    "long number inside": b'{"a": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 3000,
    "deep mapping": b'{"a":' * 3000,
    "no UTF-8": b"\xff\xfe\x00name: x",
    "zeros": b"\0" * 100,
    "infinity": b'{"a": Infinity}',
    "half a pair": b'{"name": "\\ud800"}',
}

UNSEALED = ", without its seal"
"""The end of the name of a damage that the seal beside the file would have told."""

OTHERS = ("a folder", "a pipe", "a link to itself", "a link to nothing", "a device")
"""What may stand in the place of a file."""

Damage = tuple[str, bytes | None]
"""What it is called, and the bytes that stand there instead; None: one of `OTHERS`."""


def put(path: Path, damage: Damage) -> None:
    """Put a damage in the place of a file, which is gone."""
    name, data = damage
    if data is not None:
        path.write_bytes(data)
    elif name == "a folder":
        path.mkdir()
    elif name == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"a link to itself": path.name, "a device": "/dev/zero"}.get(name, "nowhere"))


def damages(path: Path) -> Iterator[Damage]:
    """Every damage of a file, by its kind."""
    data = path.read_bytes()
    of_bytes = [*SHAPES.items(), ("cut", data[: len(data) // 2])]
    yield from of_bytes
    yield from ((name, None) for name in OTHERS)
    if path.suffix == ".parquet":
        for name, changed in _of_parquet(data):
            yield name, changed
            yield name + UNSEALED, changed
        yield from ((name + UNSEALED, changed) for name, changed in of_bytes)
    elif path.suffix in (".json", ".yaml"):
        yield from _of_value(path, data)
    elif path.suffix == ".jsonl":
        yield from _of_lines(data)


def _of_parquet(data: bytes) -> Iterator[Damage]:
    for share in (0.1, 0.5, 0.9, 0.999):
        place = int(share * len(data))
        yield f"a bit at {share}", data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]
    table = pq.read_table(io.BytesIO(data))
    yield "no rows", _parquet(table.slice(0, 0))
    yield "other columns", _parquet(pa.table({"x": [1]}))
    for name in table.column_names:
        place = table.column_names.index(name)
        yield f"without {name}", _parquet(table.drop_columns([name]))
        yield (
            f"null {name}",
            _parquet(table.set_column(place, name, pa.nulls(table.num_rows, table[name].type))),
        )
        other = pa.array(["text"] * table.num_rows)
        yield f"text {name}", _parquet(table.set_column(place, name, other))


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _of_value(path: Path, data: bytes) -> Iterator[Damage]:
    is_json = path.suffix == ".json"
    value = json.loads(data) if is_json else parse_yaml(data.decode(), "it")
    for name, changed in changed_values(value):
        if is_json:
            yield name, json.dumps(changed).encode()
        elif "\\ud" not in json.dumps(changed):
            yield name, as_yaml(changed).encode()


def _of_lines(data: bytes) -> Iterator[Damage]:
    first = json.loads(data.splitlines()[0])
    for name, changed in changed_values(first):
        line = json.dumps(changed).encode() + b"\n"
        yield f"{name}, first line", line + data
        yield f"{name}, last line", data + line
    for name in ("null", "list of 1", "text", "long number", "no UTF-8", "deep"):
        yield f"{name}, last line", data + SHAPES[name] + b"\n"


def changed_values(value: Any, most: int = 40) -> Iterator[tuple[str, Any]]:
    """A value with something strange, or nothing, at one of its places; of many places the first ones."""
    for number, place in enumerate(places(value)):
        if number >= most:
            return
        for strange in (*STRANGE, "gone"):
            changed = copy.deepcopy(value)
            inner: Any = changed
            for part in place[:-1]:
                inner = inner[part]
            if strange == "gone":
                del inner[place[-1]]
            elif inner[place[-1]] == strange and type(inner[place[-1]]) is type(strange):
                continue
            else:
                inner[place[-1]] = copy.deepcopy(strange)
            yield f"{'.'.join(map(str, place))} = {strange!r}", changed


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a value, outer ones first; of a list its first member."""
    inside = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    members = list(inside)
    for key, _ in members:
        yield (*above, key)
    for key, member in members:
        yield from places(member, (*above, key))
