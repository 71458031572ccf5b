"""Queries to begin with: an example of each table, about the experiment at hand."""

from pathlib import Path

from core.errors import UserError
from core.experiments.experiment import latest_evaluated, list_experiments
from core.results.loading import load_scores
from core.sql.chart_queries import curve_query, losses_query, runs_query, solved_query

SOURCES = """-- how many tasks and pairs each source has
SELECT source, count(DISTINCT task_id) AS tasks, count(*) AS pairs
FROM pairs
GROUP BY source
ORDER BY source
"""
_FLAGS = """-- the judgements of each person
SELECT "by", flag, value, count(*) AS judgements, max(time) AS latest
FROM flags
GROUP BY ALL
ORDER BY ALL
"""
_RUNS = """-- the state of every run, and what its training saw of the evaluated tasks
SELECT experiment, variant, train_seed, state, stage, step, leaked_tasks, test_time_tasks
FROM runs
ORDER BY experiment, variant, train_seed
"""


def example_queries(root: Path, experiment: str | None = None) -> dict[str, str]:
    """Queries by what they ask: about an experiment (the latest where none of that name is there) and about
    the project."""
    found = {}
    name = experiment if experiment in list_experiments(root) else latest_evaluated(root)
    if name is not None:
        try:
            scores = load_scores(root, name)
        except UserError:  # the pages of the experiment say what is wrong with it
            scores = None
        if scores is not None and scores.evaluations:
            found[f"{name}: every training"] = runs_query(scores, scores.experiment.metrics[0])
            if not scores.experiment.imported:
                found[f"{name}: pass_k over attempts"] = curve_query(scores, "pass_k")
                found[f"{name}: which tasks are solved"] = solved_query(scores)
        found[f"{name}: training loss"] = losses_query(name)
    return {**found, "tasks of each source": SOURCES, "flags by person": _FLAGS, "state of all runs": _RUNS}
