"""Tables for a lab note: Markdown, LaTeX and CSV.

In come a header and rows of text (Markdown, LaTeX), or flat records (CSV, unrounded); out comes one text.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
    "†": r"\textsuperscript{\dag}",
    "‡": r"\textsuperscript{\ddag}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1, caption: str = "") -> str:
    """A table in Markdown (GitHub's form): the first `names` columns to the left, all others to the right;
    the caption is a paragraph below it."""
    lines = [header, ["---"] * names + ["---:"] * (len(header) - names), *rows]
    escaped = ([_markdown_cell(cell) for cell in line] for line in lines)
    table = "".join(f"| {' | '.join(line)} |\n" for line in escaped)
    return f"{table}\n{_markdown_cell(caption)}\n" if caption else table


def _markdown_cell(cell: str) -> str:
    """Text that stays text in a cell: no cell ends in it, and no tag of HTML begins."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def latex(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1, caption: str = "") -> str:
    """A `tabular` with the rules of the booktabs package; with a caption inside a `table`."""
    body = [_latex_line(header), r"\midrule", *(_latex_line(row) for row in rows)]
    columns = "l" * names + "r" * (len(header) - names)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if caption:
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex_text(caption)}}}",
            *lines,
            r"\end{table}",
        ]
    return "\n".join([*lines, ""])


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(_latex_text, cells)) + r" \\"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


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
