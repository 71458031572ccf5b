"""Tables for a lab note: Markdown, LaTeX and CSV.

In come a header and rows of text (Markdown, LaTeX), or flat records (CSV, unrounded); out comes one text.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.results.number_format import mean_and_std

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def table_of(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table that people read: a row per variant, a column per metric.

    Variants and metrics come in the order of the records.
    """
    metrics = list(dict.fromkeys(record["metric"] for record in records))
    cells: dict[str, dict[str, str]] = {}
    for record in records:
        cells.setdefault(record["variant"], {})[record["metric"]] = mean_and_std(record)
    rows = [[variant, *(row.get(metric, "") for metric in metrics)] for variant, row in cells.items()]
    return ["variant", *metrics], rows


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A table in Markdown (GitHub's form): the first `names` columns to the left, all others to the right."""
    lines = [header, ["---"] * names + ["---:"] * (len(header) - names), *rows]
    escaped = ([_markdown_cell(cell) for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def _markdown_cell(cell: str) -> str:
    """Text that stays text in a cell: no cell ends in it, and no tag of HTML begins."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def latex(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A `tabular` with the rules of the booktabs package."""
    body = [_latex_line(header), r"\midrule", *(_latex_line(row) for row in rows)]
    columns = "l" * names + "r" * (len(header) - names)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_line(cells: Sequence[str]) -> str:
    plain = (" ".join(cell.split()) for cell in cells)
    escaped = ("".join(_LATEX.get(character, character) for character in cell) for cell in plain)
    return " & ".join(escaped) + r" \\"


def csv_text(records: Sequence[Mapping[str, Any]], header: Sequence[str] = ()) -> str:
    """Flat records as CSV below their keys (below `header` where there is none); numbers unrounded, unknown
    is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else list(header), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: "" if _is_unknown(value) else value for key, value in record.items()})
    return text.getvalue()


def _is_unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
