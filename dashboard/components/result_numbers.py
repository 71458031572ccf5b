"""The numbers of Results, made once for each state of an experiment's files."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.checks import caveats
from core.preflight import planning
from core.results import records, verdicts
from core.results.borrowed_noise import borrowed_noise
from core.results.conclusion import answer_sentence
from core.results.loading import Scores
from core.results.noise import Noise, noise
from core.results.reading import Reading
from core.spread.variances import BorrowedNoise
from dashboard.components import experiment_page
from dashboard.components.experiment_page import Stamp

Lender = tuple[str, Stamp] | None  # the experiment whose noise is borrowed, with its stamp


def lender_scores(root: Path, lender: Lender) -> Scores | None:
    """The scores of the experiment whose noise is borrowed; None where none is."""
    return None if lender is None else experiment_page.scores_of(root, *lender)


def lent(root: Path, name: str, stamp: Stamp, metric: str, form: str, lender: Lender) -> BorrowedNoise | None:
    """The noise that is borrowed; None where none is."""
    scores, others = experiment_page.scores_of(root, name, stamp), lender_scores(root, lender)
    return None if others is None else borrowed_noise(scores, others, metric, form)


@st.cache_data(max_entries=64, show_spinner=False)
def rows_of(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> list[verdicts.Row]:
    """The rows of the table, best first, with their verdicts."""
    scores = experiment_page.scores_of(root, name, stamp)
    borrowed = lent(root, name, stamp, metric, form, lender)
    return verdicts.verdict_rows(scores, metric, form, scope, baseline, borrowed=borrowed)


@st.cache_data(max_entries=64, show_spinner=False)
def records_of(
    root: Path,
    name: str,
    stamp: Stamp,
    metrics: tuple[str, ...],
    form: str,
    scope: str,
    baseline: str,
    lender: Lender,
) -> list[dict[str, Any]]:
    """The records of all variants in these metrics."""
    scores = experiment_page.scores_of(root, name, stamp)
    return records.records_of(
        scores, metrics, form, scope, lender=lender_scores(root, lender), baseline=baseline
    )


@st.cache_data(max_entries=64, show_spinner=False)
def answer_of(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> str:
    """The sentence that answers the question."""
    rows = rows_of(root, name, stamp, metric, form, scope, baseline, lender)
    return answer_sentence(rows, metric, baseline, lent(root, name, stamp, metric, form, lender), scope)


@st.cache_data(max_entries=64, show_spinner=False)
def spreads_of(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, lender: Lender
) -> str:
    """What is to be said of the spread that verdicts rest on."""
    scores = experiment_page.scores_of(root, name, stamp)
    reading = Reading((metric,), form, scope, None, lender_scores(root, lender))
    return caveats.spreads_sentence(scores, metric, reading)


@st.cache_data(max_entries=16, show_spinner=False)
def looks_of(root: Path, name: str, stamp: Stamp) -> str:
    """How often the table was looked at before it was extended; empty where it does not matter."""
    return caveats.looks_sentence(root, experiment_page.scores_of(root, name, stamp))


@st.cache_data(max_entries=64, show_spinner=False)
def noise_of(root: Path, name: str, stamp: Stamp, metric: str, form: str) -> Noise:
    """Where the noise of one run comes from."""
    return noise(experiment_page.scores_of(root, name, stamp), metric, form)


@st.cache_data(max_entries=64, show_spinner=False)
def detectable_of(root: Path, name: str, stamp: Stamp, metric: str, form: str) -> str:
    """Which difference so many runs would find."""
    return planning.detectable_sentence(experiment_page.scores_of(root, name, stamp), metric, form)
