"""What the data page shows: the table of sources, how long samples are, who leaks into whom, what is drawn.

In come records of `core`, out come HTML for `st.html` and Plotly figures; nothing is computed but widths
and colours, and every text from outside is escaped.
"""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from core.curation.overlaps import Overlap
from core.curation.stored import SourceInfo
from core.number_words import share_text
from core.prompts.lengths import WINDOWS, Drawn, Lengths, share_fitting
from core.reports.figures import GRID
from core.reports.variant_styles import DASHES, PALETTE, chart_text
from dashboard.components.glossary_links import address
from dashboard.components.grids import task_html

_STATIC = Path(__file__).parent / "static"
_STYLE = f"<style>{(_STATIC / 'source_overview.css').read_text(encoding='utf-8')}</style>"

_matrix = st.components.v2.component(
    "leak_matrix",
    js=(_STATIC / "leak_matrix.js").read_text(encoding="utf-8"),
    css=(_STATIC / "leak_matrix.css").read_text(encoding="utf-8"),
)


def source_colours(sources: Sequence[str]) -> dict[str, str]:
    """The colour of each source, by its name alone, so that no import changes it; sources of one colour are
    told apart by their dashes."""
    return {source: PALETTE[zlib.crc32(source.encode()) % len(PALETTE)] for source in sources}


def source_table(infos: Sequence[SourceInfo]) -> str:
    """The sources with their counts, where they came from, and what was dropped, which opens in place."""
    header = "".join(
        f'<th class="{kind}">{_explained(name)}</th>'
        for name, kind in (
            *(("source", ""), ("tasks", "number"), ("families", "number"), ("pairs", "number")),
            *(("cells per task", "number"), ("grids", "number")),
            *(("licence", ""), ("version", ""), ("origin", ""), ("dropped", "")),
        )
    )
    rows = "".join(map(_source_row, infos))
    return _table("sources", header, rows)


def _explained(name: str) -> str:
    """The head of a column, which leads to its place in the dictionary where it stands there."""
    return f'<a href="{address(name)}">{name}</a>' if name == "families" else name


def _source_row(info: SourceInfo) -> str:
    numbers = "".join(
        f'<td class="number">{count:,}</td>' for count in (info.tasks, info.families, info.pairs)
    )
    words = "".join(f"<td>{escape(word)}</td>" for word in (info.licence, info.version, _end_of(info.origin)))
    numbers += _number(_count(info.cells), "median of the cells of a sample: demonstrations and one test")
    side = "–" if info.side is None else f"≤ {info.side}×{info.side}"
    numbers += _number(side, "no grid has a longer side, in cells")
    return f"<tr><td><b>{escape(info.source)}</b></td>{numbers}{words}<td>{_dropped(info)}</td></tr>"


def _count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"


def _table(kind: str, header: str, rows: str) -> str:
    head = f"<thead><tr>{header}</tr></thead>"
    table = f'<table class="data-table {kind}">{head}<tbody>{rows}</tbody></table>'
    return f'{_STYLE}<div class="data-scroll">{table}</div>'


def _end_of(origin: str) -> str:
    """An origin without the folders above it, which are long and differ between machines."""
    return origin.rsplit("/", 1)[-1] if origin.startswith("/") else origin


def _dropped(info: SourceInfo) -> str:
    if not info.dropped:
        return '<span class="quiet">none</span>'
    listed = "".join(
        f"<li><code>{escape(one.task_id)}</code> {escape(one.reason)}</li>" for one in info.dropped
    )
    count = sum(one.count for one in info.dropped)
    return f"<details><summary>{count:,}, and why</summary><ul>{listed}</ul></details>"


def fit_table(lengths: Sequence[Lengths], colours: Mapping[str, str]) -> str:
    """For each source the median and longest sample, and the share that fits each window."""
    names = ("samples", "median", "longest", *(f"≤ {_short(window)}" for window in WINDOWS))
    header = "<th>source</th>" + "".join(f'<th class="number">{name}</th>' for name in names)
    rows = "".join(_fit_row(one, colours[one.source], dash) for one, dash in _dashed(lengths, colours))
    return _table("fits", header, rows)


def _dashed(lengths: Sequence[Lengths], colours: Mapping[str, str]) -> list[tuple[Lengths, str]]:
    """The sources, each with how its line is drawn: another way for each source of one colour."""
    seen: Counter[str] = Counter()
    found = []
    for one in lengths:
        colour = colours[one.source]
        found.append((one, DASHES[min(seen[colour], 2)]))
        seen[colour] += 1
    return found


def _fit_row(lengths: Lengths, colour: str, dash: str) -> str:
    longest = lengths.longest
    hint = f"{longest[0]} is the longest" if longest else ""
    cells = [
        _number(f"{len(lengths.tokens):,}", _left_out(lengths)),
        _number(_count(lengths.median)),
        _number("–" if longest is None else f"{longest[1]:,}", hint),
        *(_share_cell(lengths.fitting(window), colour) for window in WINDOWS),
    ]
    swatch = f'<span class="swatch {dash}" style="--swatch:{colour}"></span>'
    return f"<tr><td>{swatch}{escape(lengths.source)}</td>{''.join(cells)}</tr>"


def _left_out(lengths: Lengths) -> str:
    return f"{lengths.left_out} tasks have no known output to ask about" if lengths.left_out else ""


def _number(text: str, hint: str = "") -> str:
    return f'<td class="number" title="{escape(hint)}">{text}</td>'


def _share_cell(share: float | None, colour: str) -> str:
    if share is None:
        return _number("–")
    bar = f'<span class="bar" style="--bar:{colour}"><i style="width:{100 * share:.1f}%"></i></span>'
    return f'<td class="number">{share_text(share)}{bar}</td>'


def _short(window: int) -> str:
    return f"{window // 1024}k"


def fit_chart(lengths: Sequence[Lengths], colours: Mapping[str, str]) -> go.Figure:
    """The share of samples that fits (y) into so many tokens (x): one rising line for each source."""
    figure = go.Figure()
    for one, dash in _dashed(lengths, colours):
        if not one.tokens:
            continue
        ordered = sorted(one.tokens)
        shares = [100 * (index + 1) / len(ordered) for index in range(len(ordered))]
        figure.add_scatter(
            x=[ordered[0], *ordered],
            y=[0, *shares],
            name=chart_text(one.source),
            mode="lines",
            line={"color": colours[one.source], "width": 2, "shape": "hv", "dash": dash},
            hovertemplate="%{y:.1f} % have at most %{x:,} tokens",
        )
    longest = max((max(one.tokens) for one in lengths if one.tokens), default=WINDOWS[-1])
    shown = [window for window in WINDOWS if window <= 2 * longest] or [WINDOWS[0]]
    ticks = [64, 128, 256, 512, *WINDOWS]
    figure.update_xaxes(
        type="log",
        tickvals=ticks,
        ticktext=[_short(tick) if tick >= 1024 else str(tick) for tick in ticks],
        gridcolor=GRID,
        title="tokens of a training sample",
    )
    for window in shown:
        figure.add_vline(x=window, line={"color": "rgba(128, 128, 128, 0.6)", "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[0, 102], ticksuffix=" %", gridcolor=GRID, title="share that fits")
    figure.update_layout(
        height=330,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        showlegend=False,  # the table beside it shows the colours
        hoverlabel={"namelength": -1},
    )
    return figure


def leak_matrix(
    overlaps: Mapping[tuple[str, str], Overlap], sizes: Mapping[str, int], chosen: str | None
) -> str | None:
    """The matrix of leaks; the cell that was clicked just now, as `a~b`, else None.

    `sizes` holds the number of tasks of each source, in the order of rows and columns.
    """
    cells = []
    for (a, b), overlap in overlaps.items():
        share = overlap.tasks / sizes[b] if sizes[b] else 0.0
        what = f"{overlap.tasks:,} of {sizes[b]:,} tasks of {b}"
        title = f"{what} have a duplicate in it" if a == b else f"{what} are given away by {a}"
        cells.append(
            {"a": a, "b": b, "tasks": overlap.tasks, "share": 100 * share}
            | {"percent": share_text(share), "title": title}
        )
    data = {"sources": list(sizes), "cells": cells, "chosen": chosen}
    found = _matrix(key="leak matrix", data=data, on_cell_change=lambda: None)
    return found.cell if isinstance(found.cell, str) else None


def drawn_sentence(drawn: Sequence[Drawn], limit: int | None) -> str:
    """What so many samples come from and how many fit, in words."""
    counts = Counter(one.task.source for one in drawn)
    shares = ", ".join(f"{source} {share_text(count / len(drawn))}" for source, count in counts.most_common())
    tokens = [one.tokens for one in drawn]
    if limit is not None:
        fitting = f"{share_text(share_fitting(tokens, limit) or 0.0)} fit max_seq_len, {limit:,} tokens"
    else:
        fits = (f"{share_text(share_fitting(tokens, one) or 0.0)} fit {_short(one)}" for one in WINDOWS)
        fitting = f"{', '.join(fits)} tokens"
    return f"Of the first {len(drawn)} samples: {shares}. {fitting}."


def drawn_html(drawn: Sequence[Drawn], limit: int | None, too_long: str = "drop") -> str:
    """Samples one below the other: number, source, task and tokens, then the pictures. Samples of more than
    `limit` tokens are marked with what becomes of them."""
    fate = {"drop": "dropped", "shorten": "shortened"}[too_long]
    return f'{_STYLE}<div class="draws">{"".join(_drawn_html(one, limit, fate) for one in drawn)}</div>'


def _drawn_html(one: Drawn, limit: int | None, fate: str) -> str:
    tokens = f"{one.tokens:,} tokens"
    if limit is not None and one.tokens > limit:
        tokens = f'<span class="too-long">{tokens}, longer than {limit:,}: {fate}</span>'
    title = (
        f'<span class="quiet">{one.number}</span><b>{escape(one.task.source)}</b>'
        f"<code>{escape(one.task.task_id)}</code><span>{tokens}</span>"
    )
    return f'<div class="drawn"><div class="drawn-title">{title}</div>{task_html(one.task, height=84)}</div>'
