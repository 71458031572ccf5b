"""Answers as pictures: each distinct answer with its votes, what is wrong with it, and where.

In come answers of `core.results.answers`, out comes HTML for `picker.pick`, each card with its answer's id.
"""

import html
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from core.arc.grids import Grid
from core.arc.tasks import Task
from core.results.answers import KINDS, NO_GRID, RIGHT, WRONG_SIZE, Answer, wrong_cells
from dashboard.components.glossary_links import address
from dashboard.components.grids import STYLE as GRID_STYLE
from dashboard.components.grids import grid_html, mask_address

MOST_SHOWN = 8
MOST_OPENED = 60
"""So many cards stand behind "and more": far beyond what a person looks through."""
_HEIGHT = 92
_LARGEST_CELL = 14

_PER_TOKEN = f'<a href="{address("token")}" target="_blank">per token</a>'

STYLE = (
    GRID_STYLE
    + """<style>
.answer-line { padding: 0.5rem 0; border-bottom: 1px solid rgba(128, 128, 128, 0.18); }
.answer-owner { font-weight: 600; font-size: 0.9rem; margin-bottom: 0.35rem; }
.answer-owner .dot {
  display: inline-block; width: 0.7rem; height: 0.7rem; border-radius: 50%; margin-right: 0.5rem;
}
.answer-owner .quiet, .answer .quiet { opacity: 0.66; font-weight: 400; }
.answers { display: flex; flex-wrap: wrap; gap: 0.4rem 0.5rem; align-items: flex-end; }
.answer { font-size: 0.8rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.answer[data-pick] { cursor: pointer; padding: 0.3rem; border-radius: 6px; outline-offset: 1px; }
.answer[data-pick]:hover { background: rgba(128, 128, 128, 0.14); }
.answer[data-pick]:focus-visible, .answer[aria-current="true"] { outline: 2px solid var(--st-primary-color); }
.answer .pictures { display: flex; gap: 5px; align-items: flex-end; margin-bottom: 0.2rem; }
.answer .badge {
  padding: 0 0.4rem; border-radius: 1rem; font-weight: 600; background: rgba(128, 128, 128, 0.18);
}
.answer a { color: inherit; text-decoration: underline dotted; }
.answer-line details { flex-basis: 100%; }
.answer-line summary { cursor: pointer; opacity: 0.8; }
.answer-line details .answers { margin-top: 0.5rem; }
.answer .badge.right { background: rgba(0, 158, 115, 0.22); }
.answer .badge.near { background: rgba(230, 159, 0, 0.28); }
.mask { outline: 1px solid rgba(128, 128, 128, 0.6); }
.mask img { display: block; width: 100%; height: 100%; max-width: none; image-rendering: pixelated; }
.nothing {
  display: grid; place-items: center; width: 58px; height: 58px; opacity: 0.66;
  border: 1px dashed rgba(128, 128, 128, 0.7);
}
</style>"""
)


def answer_lines(
    answers: Sequence[Answer],
    task: Task,
    colours: dict[str, str],
    kinds: Sequence[str] = tuple(KINDS),
) -> str:
    """One line per unit and test output, its answers of these kinds by votes."""
    lines = []
    for _, group in groupby(answers, key=_unit):
        lines.append(_line(list(group), task, colours, kinds))
    return f"{STYLE}{''.join(lines)}"


def answer_id(answer: Answer) -> str:
    """How an answer stands in the address: whose it is, the test output, its place by votes (0: no grid)."""
    seeds = ("-" if seed is None else str(seed) for seed in (answer.train_seed, answer.eval_seed))
    return "/".join((answer.variant, *seeds, str(answer.test_index), str(answer.place or 0)))


def owner_words(answer: Answer, task: Task) -> str:
    """Whose answer it is, and to which test output where there are several."""
    names = [answer.variant]
    names += [] if answer.train_seed is None else [f"train seed {answer.train_seed}"]
    names += [] if answer.eval_seed is None else [f"eval seed {answer.eval_seed}"]
    names += [f"test {answer.test_index + 1}"] if len(task.test) > 1 else []
    return " · ".join(names)


def _unit(answer: Answer) -> tuple[str, int | None, int | None, int]:
    return answer.variant, answer.train_seed, answer.eval_seed, answer.test_index


def _line(answers: Sequence[Answer], task: Task, colours: dict[str, str], kinds: Sequence[str]) -> str:
    first = answers[0]
    truth = task.test[first.test_index].output
    assert truth is not None
    kept = [answer for answer in answers if answer.kind in kinds]
    cards = "".join(card_html(answer, truth) for answer in kept[:MOST_SHOWN])
    hidden = len(kept) - MOST_SHOWN
    rest = "".join(card_html(answer, truth) for answer in kept[MOST_SHOWN:MOST_OPENED])
    left_out = f", the first {MOST_OPENED - MOST_SHOWN} here" if len(kept) > MOST_OPENED else ""
    words = f"and {hidden} more with fewer votes{left_out}"
    more = f'<details><summary>{words}</summary><div class="answers">{rest}</div></details>' if rest else ""
    return (
        f'<div class="answer-line"><div class="answer-owner">{_owner(answers, task, colours)}</div>'
        f'<div class="answers">{cards or "<span>no such answer</span>"}{more}</div></div>'
    )


def _owner(answers: Sequence[Answer], task: Task, colours: dict[str, str]) -> str:
    first = answers[0]
    right = sum(answer.votes for answer in answers if answer.kind == RIGHT)
    return (
        f'<span class="dot" style="background:{colours[first.variant]}"></span>'
        f"{html.escape(owner_words(first, task))} "
        f'<span class="quiet">{right:,} of {first.attempts:,} attempts right</span>'
    )


def card_html(answer: Answer, truth: Grid, *, pickable: bool = True) -> str:
    """One answer: its grid, where it is wrong, its votes, and how sure the model was; `pickable` lets a click
    open its attempts."""
    logprob = answer.logprob_per_token
    sure = "" if logprob is None else f'<div class="quiet">{_signed(logprob)} {_PER_TOKEN}</div>'
    votes = f"{answer.votes} vote{'s' if answer.votes != 1 else ''}"
    if answer.kind == NO_GRID:
        votes = f"{answer.votes} without a grid"
    badge = (
        "" if answer.kind == NO_GRID else f'<span class="badge {answer.kind}">{_kind(answer, truth)}</span>'
    )
    click = f' role="button" tabindex="0" data-pick="{html.escape(answer_id(answer))}"' if pickable else ""
    return (
        f'<div class="answer"{click} title="{"Open its attempts." if pickable else ""}">'
        f'<div class="pictures">{_pictures(answer, truth)}</div><div><b>{votes}</b> {badge}</div>{sure}</div>'
    )


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # + 0.0 takes the sign off a zero


def _kind(answer: Answer, truth: Grid) -> str:
    if answer.kind == WRONG_SIZE and answer.grid is not None:
        return f"{_size(answer.grid)} instead of {_size(truth)}"
    if answer.cells_off:
        return f"{answer.cells_off} cell{'s' if answer.cells_off > 1 else ''} off"
    return KINDS[answer.kind]


def _size(grid: Grid) -> str:
    return f"{grid.shape[1]}×{grid.shape[0]}"


def _pictures(answer: Answer, truth: Grid) -> str:
    if answer.grid is None:
        return '<div class="nothing">no grid</div>'
    cell = max(2, min(_LARGEST_CELL, _HEIGHT // max(answer.grid.shape[0], truth.shape[0])))
    wrong = wrong_cells(answer.grid, truth)
    mask = "" if wrong is None or not wrong.any() else mask_html(wrong, cell)
    return grid_html(answer.grid, cell, label=False) + mask


def mask_html(wrong: npt.NDArray[np.bool_], cell: int) -> str:
    """The cells that differ from the truth, `cell` CSS pixels each."""
    height, width = wrong.shape
    off = int(wrong.sum())
    return (
        f'<div class="mask" title="coloured: differs from the truth"'
        f' style="width:{width * cell}px;height:{height * cell}px">'
        f'<img alt="{off} of {wrong.size} cells differ from the truth" src="{mask_address(wrong)}"></div>'
    )
