"""The numbers of Results, made once for each state of an experiment's files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.checks import caveats
from core.preflight import run_plan
from core.results import table_records, verdicts
from core.results.conclusion import answer_sentence
from core.results.noise import Noise, noise
from core.results.reading import Reading
from dashboard.components import experiment_page
from dashboard.components.experiment_page import Stamp

Lender = tuple[str, Stamp] | None  # the experiment whose noise is borrowed, with its stamp


def reading_of(
    root: Path, metrics: Sequence[str], form: str, scope: str, baseline: str | None, lender: Lender
) -> Reading:
    """What was chosen on the page, as `core` takes it."""
    others = None if lender is None else experiment_page.scores_of(root, *lender)
    return Reading(tuple(metrics), form, scope, baseline, others)


@st.cache_data(max_entries=64, show_spinner=False)
def rows_of(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> list[verdicts.Row]:
    """The rows of the table, best first, with their verdicts."""
    reading = reading_of(root, [metric], form, scope, baseline, lender)
    return verdicts.verdict_rows(experiment_page.scores_of(root, name, stamp), metric, reading)


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
    reading = reading_of(root, metrics, form, scope, baseline, lender)
    return table_records.records_of(experiment_page.scores_of(root, name, stamp), reading)


@st.cache_data(max_entries=64, show_spinner=False)
def answer_of(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> str:
    """The sentence that answers the question."""
    rows = rows_of(root, name, stamp, metric, form, scope, baseline, lender)
    reading = reading_of(root, [metric], form, scope, baseline, lender)
    return answer_sentence(rows, experiment_page.scores_of(root, name, stamp), reading)


@st.cache_data(max_entries=64, show_spinner=False)
def spreads_of(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> str:
    """What is to be said of the spread that verdicts rest on."""
    reading = reading_of(root, [metric], form, scope, baseline, lender)
    return caveats.spreads_sentence(experiment_page.scores_of(root, name, stamp), reading)


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
    return run_plan.detectable_sentence(experiment_page.scores_of(root, name, stamp), metric, form)
