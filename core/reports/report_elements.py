"""The parts that a lab note is made of, as HTML: its style, tables, figures, commands and paragraphs."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from markdown_it import MarkdownIt

from core.reports.svg import svg
from core.reports.text_tables import Table

STYLE = """<style>
:root { color-scheme: light dark; --line: rgba(128, 128, 128, 0.35); --back: rgba(128, 128, 128, 0.1); }
body {
  font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1.2rem;
  background: Canvas; color: CanvasText;
}
h1 { font-size: 1.5rem; margin-bottom: 0.3rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: 0.3rem; }
p.note, figcaption { opacity: 0.75; margin: 0.4rem 0; }
p.test-time, svg tspan[fill] { --violet: color-mix(in srgb, #8E5FBF 55%, CanvasText); opacity: 1; }
p.test-time { color: var(--violet); } svg tspan[fill] { fill: var(--violet); }
p.careful { border-left: 3px solid #D55E00; padding-left: 0.8rem; }
table.plain { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.88rem; }
table.plain th, table.plain td {
  text-align: left; padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere;
}
table.plain td.number, table.plain th.number { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; }
figure { margin: 1rem 0; break-inside: avoid; }
svg { width: 100%; max-width: 47rem; height: auto; }
pre {
  background: var(--back); padding: 0.8rem; font-size: 0.82rem; white-space: pre-wrap;
  overflow-wrap: anywhere;
}
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } pre { font-size: 7.5pt; } }
</style>"""


def figure_html(figure: Any, title: str, caption: str) -> str:
    """A figure as a still picture with its caption below."""
    return f"<figure>{svg(figure, title)}<figcaption>{escaped(caption.strip())}</figcaption></figure>"


def table_html(table: Table) -> str:
    """A table of words and numbers with its notes below."""
    notes = "".join(f'<p class="note test-time">{escaped(note)}</p>' for note in table.notes)
    return plain_table(table.header, table.rows, table.names) + notes


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], names: int) -> str:
    """A plain table: the first `names` columns are words, the others numbers."""
    kinds = ["" if place < names else ' class="number"' for place in range(len(header))]
    head = "".join(f"<th{kind}>{escaped(cell)}</th>" for kind, cell in zip(kinds, header, strict=True))
    cells = (
        "".join(f"<td{kind}>{escaped(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in cells)
    return (
        f'<div class="wide"><table class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def command_html(line: str) -> str:
    """A command as one types it."""
    return f"<pre>{escaped(line)}</pre>"


def paragraph(text: str) -> str:
    """A sentence beside the numbers; nothing where there is none."""
    return f'<p class="note">{escaped(text)}</p>' if text else ""


def written(text: str) -> str:
    """What a person wrote in Markdown: headings, lists, emphasis, tables. Links, pictures and HTML stay
    text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return str(parser.disable(["link", "image", "autolink", "reference"]).render(text))


def escaped(text: str) -> str:
    """Text from data, with nothing in it that HTML obeys."""
    return html.escape(str(text))
