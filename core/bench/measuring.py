"""From benchmarks to records: measure them one after the other, keep the records, show them as a table.

A record is flat: name, value, unit, peer, peer_value, ratio, machine. A file of records is JSON; measuring
into a file that exists replaces the rows measured now and leaves the others, so that a machine with a GPU
and one without can fill one table.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.bench.bench_context import Workshop
from core.bench.registry import Benchmark, Row, all_rows, holds, ratio_of
from core.errors import UserError
from core.machine.hardware import hardware_line
from core.storage.files import read_json, write_json, write_text

Record = dict[str, Any]

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
NOT_MEASURED = "not measured"


@contextmanager
def project_folder(kept: Path | None) -> Iterator[Path]:
    """The folder for made-up experiments: the one given, which stays, else one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="arc-bench-") as folder:
        yield Path(folder)


def records_of(benchmark: Benchmark, workshop: Workshop) -> Iterator[Record]:
    """Measure a benchmark; a record for each row that it fills, as they come."""
    rows = {row.name: row for row in benchmark.rows}
    where = hardware_line()
    for measured in benchmark.measure(workshop):
        row = rows[measured.name]
        yield {
            "name": row.name,
            "value": measured.value,
            "unit": row.unit,
            "peer": row.peer,
            "peer_value": measured.peer_value,
            "ratio": ratio_of(row, measured),
            "machine": where,
        }


def read_measured(path: Path) -> list[Record]:
    """The records of a file. Raises `UserError` where it holds anything else."""
    value = read_json(path)
    if not isinstance(value, list) or not all(isinstance(one, dict) and "name" in one for one in value):
        raise UserError(f"{path} holds no measured records. Make it with: python -m core bench --out {path}")
    return value


def keep(path: Path, records: Sequence[Record]) -> None:
    """Write records into a file whole; rows of other names that it holds stay."""
    before = {one["name"]: one for one in read_measured(path)} if path.exists() else {}
    found = {**before, **{one["name"]: one for one in records}}
    order = [row.name for row in all_rows()]
    write_json(path, sorted(found.values(), key=lambda one: (one["name"] not in order, _place(order, one))))


def _place(order: Sequence[str], record: Record) -> int:
    return order.index(record["name"]) if record["name"] in order else 0


def number_text(value: float | None) -> str:
    """Three digits that count, thousands parted by commas; a stroke for what is unknown."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def wanted_text(row: Row) -> str:
    """The bounds of a row in words; empty where nothing is wanted."""
    return " and ".join(
        part
        for part in (
            f"{row.wanted} {row.unit}" if row.wanted else "",
            f"{row.wanted_ratio} ×" if row.wanted_ratio else "",
        )
        if part
    )


def row_texts(row: Row, record: Mapping[str, Any] | None) -> list[str]:
    """The cells of a row: what, value, wanted, peer's value, ratio, and whether the bounds are kept."""
    wanted = wanted_text(row)
    if record is None:
        return [row.name, NOT_MEASURED, wanted, row.peer or "", "", ""]
    value = f"{number_text(record['value'])} {row.unit}"
    peer = (
        "" if record["peer_value"] is None else f"{row.peer}: {number_text(record['peer_value'])} {row.unit}"
    )
    ratio = "" if record["ratio"] is None else f"{number_text(record['ratio'])} ×"
    kept = [
        one
        for one in (holds(row.wanted, record["value"]), holds(row.wanted_ratio, record["ratio"]))
        if one is not None
    ]
    return [row.name, value, wanted, peer, ratio, ("yes" if all(kept) else "no") if kept else ""]


HEADER = ["figure", "measured", "wanted", "against", "ratio", "kept"]


def markdown(records: Iterable[Record]) -> str:
    """All rows as a Markdown table, "not measured" where there is no record, and the machines."""
    known = {one["name"]: one for one in records}
    machines = list(dict.fromkeys(_apart(one["machine"])[0] for one in known.values()))
    header = [*HEADER, "on"]
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for row in all_rows():
        record = known.get(row.name)
        where = ""
        if record is not None:
            name, load = _apart(record["machine"])
            where = f"({machines.index(name) + 1}) {load}".rstrip()
        lines.append(f"| {' | '.join([*row_texts(row, record), where])} |")
    listed = [f"({place}) {one}" for place, one in enumerate(machines, 1)]
    return "\n".join([*lines, "", "  \n".join(listed)]).rstrip() + "\n"


def _apart(where: str) -> tuple[str, str]:
    """A machine without its load, and the load."""
    name, comma, load = where.partition(", load ")
    return name, f"load {load}" if comma else ""


def put_into(document: Path, records: Iterable[Record]) -> None:
    """Write the table between the two marks of a Markdown file. Raises `UserError` without marks."""
    text = document.read_text(encoding="utf-8")
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise UserError(
            f"{document} has no place for figures. Write {BEGIN} and {END} on lines of their own."
        )
    write_text(document, f"{text[: begin + len(BEGIN)]}\n{markdown(records)}{text[end:]}")
