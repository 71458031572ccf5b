"""The runs of an experiment as people compare them: with score, times and owner, and summed up by variant.

In come the records of `core.experiments.listing`, the clocks of `core.monitoring.run_times` and the scores;
owners are kept until a run's record changes.
"""

import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.monitoring.run_times import (
    Clock,
    experiment_seconds_left,
    seconds_left,
    share_of_all,
    typical_seconds,
)
from core.plain_files import Stamp, file_stamp
from core.results.loading import Scores
from core.results.number_format import UNKNOWN, column_texts, decimals_of_records, percent
from core.results.reading import Reading
from core.results.run_values import run_records as scored_records
from core.results.table_records import records_of
from core.runs.layout import Run
from core.runs.progress import share_done
from core.storage.files import read_json

_MOST_KEPT = 20_000

Name = tuple[str, int]
"""A variant and a training seed."""


@dataclass(frozen=True)
class RunScores:
    """The main metric of every run (a fraction), of every variant as text ("41.2 ± 0.8"), and the decimals of
    both as one column."""

    values: Mapping[Name, float | None]
    texts: Mapping[str, str]
    decimals: int


NO_SCORES = RunScores({}, {}, 1)


def run_scores(scores: Scores) -> RunScores:
    """The main metric of the runs that are evaluated."""
    metric = scores.experiment.metrics[0]
    if not scores.evaluations:
        return NO_SCORES
    values = {(one["variant"], one["train_seed"]): one["value"] for one in scored_records(scores, metric)}
    column = [one for one in records_of(scores, Reading((metric,))) if one["n"]]
    texts = {one["variant"]: text for one, text in zip(column, column_texts(column), strict=True)}
    return RunScores(values, texts, decimals_of_records(column))


def run_rows(
    root: Path,
    records: Sequence[Mapping[str, Any]],
    clocks: Mapping[Name, Clock],
    scores: RunScores,
) -> list[dict[str, Any]]:
    """The records with score, score_text, share (of all stages, 0 to 1), seconds (from the first report to
    the last), seconds_left (over all stages), started (seconds since the epoch), tries and owner; None is
    unknown. Of a run that is done, step, total and tokens_per_second (the mean) are those of its training."""
    nothing = Clock()
    done = [
        clocks.get((one["variant"], one["train_seed"]), nothing) for one in records if one["state"] == "done"
    ]
    typical = typical_seconds(done)
    rows = []
    for record in records:
        name = (record["variant"], record["train_seed"])
        clock, stage = clocks.get(name, nothing), share_done(record)
        rows.append(
            {
                **record,
                **(_of_training(record, clock) if record["state"] == "done" else {}),
                "score": scores.values.get(name),
                "score_text": percent(scores.values.get(name), scores.decimals),
                "share": share_of_all(record, stage, typical),
                "seconds": clock.seconds,
                "seconds_left": seconds_left(record, stage, typical),
                "started": clock.started,
                "tries": clock.tries,
                "owner": owner_of(Run(root, record["experiment"], *name)),
            }
        )
    return rows


def _of_training(record: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    step, total = clock.trained or (record["step"], record["total"])
    return {
        "step": step,
        "total": total,
        "tokens_per_second": clock.tokens_per_second or record["tokens_per_second"],
    }


def owner_of(run: Run) -> str:
    """Who launched a run, by its record; empty where that does not say."""
    try:
        return _owner(run.record_file, file_stamp(run.record_file))
    except OSError:
        return ""


@functools.lru_cache(maxsize=_MOST_KEPT)
def _owner(path: Path, _: Stamp) -> str:
    try:
        return str(read_json(path).get("launched_by") or "")
    except (UserError, AttributeError):
        return ""


def variant_rows(rows: Sequence[Mapping[str, Any]], scores: RunScores) -> list[dict[str, Any]]:
    """One record per variant in the order of the rows: variant, runs, done, state (of the most urgent run),
    share, score, score_text, loss, tokens_per_second, seconds (medians), seconds_left and started."""
    urgency = ("failed", "running", "queued", "cancelled", "done")
    found = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        states = {row["state"] for row in own}
        values = [row["score"] for row in own if row["score"] is not None]
        found.append(
            {
                "variant": variant,
                "runs": len(own),
                "done": sum(row["state"] == "done" for row in own),
                "state": next((state for state in urgency if state in states), "queued"),
                "share": statistics.fmean(row["share"] for row in own),
                "score": statistics.fmean(values) if values else None,
                "score_text": scores.texts.get(variant, UNKNOWN),
                "loss": _median(own, "loss"),
                "tokens_per_second": _median(own, "tokens_per_second"),
                "seconds": _median(own, "seconds"),
                "seconds_left": experiment_seconds_left(own, [row["seconds_left"] for row in own]),
                "started": min((row["started"] for row in own if row["started"]), default=None),
            }
        )
    return found


def _median(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [row[name] for row in rows if row[name] is not None]
    return statistics.median(known) if known else None
