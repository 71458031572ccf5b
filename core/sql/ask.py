"""SQL over a project: one SELECT, answered by a bounded process that sees the project's tables alone.

In come the project and the text, out comes an Arrow table, or flat records of it. Only the tables that a text
names are prepared; `sql_tables` knows them all.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.experiment import latest_evaluated, list_experiments, read_experiment
from core.number_words import amount
from core.results.loading import load_scores
from core.sql.chart_queries import runs_query
from core.sql.examples import SOURCES
from core.sql.sandbox import LIMITS, Answer, Limits, Question, Views
from core.sql.tables import FROM_PARQUET, FROM_RECORDS, PHRASES
from core.storage.queries import exact_name, parquet


def start(root: Path, sql: str, limits: Limits = LIMITS) -> Question:
    """Start one SELECT over the project. Raises `UserError` where a record of the project can't be read."""
    return Question(sql, views_of(root, sql), limits)


def ask(root: Path, sql: str, limits: Limits = LIMITS) -> Answer:
    """The answer to one SELECT. Raises `UserError` with what is wrong with it, or what stopped it."""
    question = start(root, sql, limits)
    try:
        return question.answer()
    except KeyboardInterrupt:
        question.cancel()
        raise


def records(answer: Answer) -> list[dict[str, Any]]:
    """The rows as flat records of what JSON and CSV know; anything else as its text, bytes in hex."""
    return [{name: _simple(value) for name, value in row.items()} for row in answer.table.to_pylist()]


def _simple(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_simple(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _simple(part) for key, part in value.items()}
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def cut_sentence(answer: Answer, limits: Limits = LIMITS) -> str:
    """Where the result was cut; empty where it is whole."""
    if answer.cut == "rows":
        return f"Shown: only the first {amount(limits.rows, 'rows')}. Add a LIMIT, a WHERE or a GROUP BY."
    if answer.cut == "bytes":
        size = limits.bytes // 2**20
        shown = answer.table.num_rows
        if not shown:
            return f"A single row is over {size} MB, so none is shown. Ask for fewer columns."
        return f"Shown: only the first {amount(shown, 'rows')}; more are over {size} MB in memory."
    return ""


def first_query(root: Path, experiment: str | None = None) -> str:
    """A query worth starting from: the main metric of every training of an experiment, or of the latest."""
    name = experiment if experiment in list_experiments(root) else latest_evaluated(root)
    if name is None:
        return SOURCES
    scores = load_scores(root, name)
    return runs_query(scores, scores.experiment.metrics[0])


def known_variants(root: Path, names: Iterable[Any]) -> tuple[tuple[str, ...], str]:
    """All variants and the baseline of the latest experiment that has these; nothing where none has."""
    wanted = {name for name in names if name is not None}
    for experiment in list_experiments(root):
        try:
            known = read_experiment(root, experiment)
        except UserError:  # a broken description costs colours only
            continue
        if wanted <= set(known.variants):
            return known.variants, known.baseline
    return (), ""


def views_of(root: Path, sql: str) -> Views:
    """The tables that a text names, so that a short question does not read the whole project."""
    named = [name for name in PHRASES if re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
    files: list[Path] = []
    statements = []
    for name in named:
        if name in FROM_PARQUET:
            find, columns, shown = FROM_PARQUET[name]
            paths = find(root)
            files += [Path(exact_name(path)) for path in paths]
            statements.append(f"CREATE VIEW {name} AS SELECT {shown} FROM {parquet(paths, columns)}")
    tables = {name: FROM_RECORDS[name](root) for name in named if name in FROM_RECORDS}
    return Views(tuple(files), tuple(statements), tables, tuple(PHRASES))
