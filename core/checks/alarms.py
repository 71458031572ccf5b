"""Whether the runs of an experiment are what they seem: all alarms, from the files in their folders.

Files are read once: what is needed of an evaluation or a training is kept until its file changes. What only a
repeated evaluation can tell stands in `check.json` of a run, where somebody requested it.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.experiment import known_folder
from core.plain_files import Stamp, file_stamp
from core.runs.layout import (
    CHECK,
    PROGRESS,
    RECORD,
    evaluation_files,
    evaluation_place,
    run_folders,
    run_place,
)
from core.runs.progress import progress_records
from core.runs.recorded_leaks import leaked_tasks
from core.runs.run_record import read_record_file
from core.scoring import alarm_rules
from core.scoring.alarm_rules import Alarm, Answers
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.json_records import Count, Record, Whole, read_as_or_none
from core.storage.queries import exact_name, parquet, rows
from core.storage.schemas import PREDICTIONS

_ANSWERS = """
SELECT filename,
       count(*) AS attempts,
       count(*) FILTER (finish_reason = 'length') / count(*) AS cut,
       count(*) FILTER (output_h IS NULL) / count(*) AS unanswered,
       sum(output_h)::BIGINT AS lines,
       sum(output_w)::BIGINT AS columns
FROM {predictions}
GROUP BY filename
"""
_TEXTS = """
SELECT filename, bit_xor(hash(source, task_id, test_index, attempt, text))::VARCHAR AS texts
FROM {predictions}
GROUP BY filename
"""
_VIEWS = """
SELECT filename,
       bit_xor(hash(source, task_id, test_index, attempt, symmetry, colours, pair_order))::VARCHAR AS views
FROM {predictions}
GROUP BY filename
"""
_MOST_KEPT = 20_000

Run = tuple[str, int]
"""A variant and a training seed."""


def check_records(root: Path, experiment: str) -> list[dict[str, Any]]:
    """One flat record per alarm: variant, train_seed, eval_seed (None for the training), alarm, value,
    detail; by variant and seeds. No record means that nothing was found.

    Raises `UserError` for an unknown experiment.
    """
    folder = known_folder(root, experiment)
    of_folder: dict[Path, dict[int, Answers]] = {}
    for file, answers in answers_of(evaluation_files(folder, PREDICTIONS_FILE)).items():
        *_, seed = evaluation_place(file)
        of_folder.setdefault(file.parent.parent, {})[seed] = answers
    found: list[tuple[Run, int | None, Alarm]] = []
    answered: dict[Run, dict[int, Answers]] = {}
    for path in run_folders(folder):
        run = run_place(path)
        assert run is not None, "as only folders of runs are listed"
        found += [(run, None, alarm) for alarm in _of_training(path)]
        found += [(run, evaluated, alarm) for evaluated, alarm in _repeated(path)]
        answered[run] = of_folder.get(path, {})
        for seed, answers in answered[run].items():
            found += [(run, seed, alarm) for alarm in alarm_rules.shares(answers)]
    found += _identical(answered)
    found += _computed_unlike(folder, list(answered))
    order = sorted(found, key=lambda one: (*one[0], -1 if one[1] is None else one[1]))
    return [
        {
            "variant": run[0],
            "train_seed": run[1],
            "eval_seed": seed,
            "alarm": alarm.name,
            "value": alarm.value,
            "detail": alarm.detail,
        }
        for run, seed, alarm in order
    ]


def alarm_sentences(records: list[dict[str, Any]]) -> list[str]:
    """What the records say, a sentence for each kind of alarm, for captions."""
    found = []
    for name in dict.fromkeys(record["alarm"] for record in records):
        mine = [record for record in records if record["alarm"] == name]
        runs = list(dict.fromkeys(f"{record['variant']} seed {record['train_seed']}" for record in mine))
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        sentence = alarm_rules.ALARMS[name]
        found.append(
            f"{sentence[0].upper()}{sentence[1:]}: {', '.join(runs[:3])}{more} ({mine[0]['detail']})."
        )
    return found


def answers_of(files: Sequence[Path]) -> dict[Path, Answers]:
    """What each evaluation answered, in short, by its file of predictions; the texts only of those whose
    grids have the sizes of another's, the views of those that answered as another did. Raises `UserError`
    where a file is corrupt."""
    found = _rows_of(_ANSWERS, files)
    texts = _rows_of(_TEXTS, _alike(found, "attempts", "unanswered", "lines", "columns"))
    views = _rows_of(_VIEWS, _alike(texts, "texts"))
    return {
        file: Answers(
            row.get("attempts", 0),
            row.get("cut", 0.0),
            row.get("unanswered", 0.0),
            texts.get(file, {}).get("texts"),
            views.get(file, {}).get("views"),
        )
        for file, row in found.items()
    }


def _alike(found: dict[Path, dict[str, Any]], *names: str) -> list[Path]:
    """The files of which another one says the same."""
    keys = {file: tuple(row[name] for name in names) for file, row in found.items() if row}
    counts = Counter(keys.values())
    return [file for file, key in keys.items() if counts[key] > 1]


def _rows_of(sql: str, files: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """What a query of one row for each file says of each, empty where it is silent. All files that changed
    since they were last read are read at once."""
    stamps = {file: file_stamp(file) for file in files}
    cached = ((file, _known.get((sql, file, stamp))) for file, stamp in stamps.items())
    known = {file: row for file, row in cached if row is not None}
    fresh = [file for file in files if file not in known]
    if fresh:
        query = sql.format(predictions=parquet(fresh, PREDICTIONS, names=True))
        found = {row.pop("filename"): row for row in rows(query)}
        read = {file: found.get(exact_name(file), {}) for file in fresh}
        _known.update({(sql, file, stamps[file]): row for file, row in read.items()})
        known |= read
    for oldest in list(_known)[: max(0, len(_known) - _MOST_KEPT)]:
        _known.pop(oldest, None)
    return {file: known[file] for file in files}


_known: dict[tuple[str, Path, Stamp], dict[str, Any]] = {}
"""What was read lately, shared by all sessions of the dashboard."""


def _of_training(folder: Path) -> list[Alarm]:
    progress = folder / PROGRESS
    return [*_of_progress(progress, file_stamp(progress)), *alarm_rules.leaks(leaked_tasks(folder) or 0)]


@functools.lru_cache(maxsize=4096)
def _of_progress(path: Path, _stamp: Stamp) -> tuple[Alarm, ...]:
    steps = [one for one in progress_records(path) if one.get("stage") == "train"]
    seen = [one["seen_accuracy"] for one in steps if one.get("seen_accuracy") is not None]
    losses = ((one.get("step", 0), one.get("loss")) for one in steps)
    return (*alarm_rules.losses(losses), *alarm_rules.seen_accuracy(seen))


class _Repeated(Record):
    """The schema of `check.json`: how many of the repeated answers are equal."""

    eval_seed: Whole
    asked: Count
    equal: Count
    exact: bool = False
    equal_to_base: Count | None


def _repeated(folder: Path) -> list[tuple[int | None, Alarm]]:
    record = read_as_or_none(folder / CHECK, _Repeated)
    if record is None:
        return []
    seed, compared = record.eval_seed, record.asked
    found: list[tuple[int | None, Alarm]] = [
        (seed, alarm) for alarm in alarm_rules.repeated(record.equal, compared, exact=record.exact)
    ]
    if record.equal_to_base is not None:
        found += [(None, alarm) for alarm in alarm_rules.same_as_base(record.equal_to_base, compared)]
    return found


_OF_TRAINING = ("device", "precision", "weights")
_OF_ENGINE = ("name", "version", "dtype")


def _computed_unlike(folder: Path, runs: Sequence[Run]) -> list[tuple[Run, int | None, Alarm]]:
    """Alarms for runs that were computed in another way than most of their table."""
    ways: dict[str, dict[Run, str]] = {}
    for run in runs:
        record = folder / run[0] / f"train-{run[1]}" / RECORD
        for part, way in _ways_of(record, file_stamp(record)).items():
            ways.setdefault(part, {})[run] = way
    return [
        (run, None, alarm)
        for part, of_runs in ways.items()
        for run, alarm in alarm_rules.computed_unlike(part, of_runs).items()
    ]


@functools.lru_cache(maxsize=4096)
def _ways_of(path: Path, _stamp: Stamp) -> dict[str, str]:
    """How the training and the engine of a run computed, as its record says."""
    try:
        record = read_record_file(path)
    except UserError:
        return {}
    parts = {"training": _OF_TRAINING, "engine": _OF_ENGINE}
    return {
        part: ", ".join(str(record[part].get(name)) for name in names)
        for part, names in parts.items()
        if isinstance(record.get(part), dict)
    }


def _identical(answered: dict[Run, dict[int, Answers]]) -> list[tuple[Run, int | None, Alarm]]:
    """Alarms for evaluations of one run, and for trainings of one variant, that answered alike."""
    found: list[tuple[Run, int | None, Alarm]] = []
    by_variant: dict[tuple[str, int], dict[int, Answers]] = {}
    for (variant, train_seed), evaluations in answered.items():
        alike = alarm_rules.identical(evaluations, "identical_predictions", "evaluation seed")
        found += [((variant, train_seed), seed, alarm) for seed, alarm in alike.items()]
        for eval_seed, answers in evaluations.items():
            by_variant.setdefault((variant, eval_seed), {})[train_seed] = answers
    for (variant, eval_seed), trainings in by_variant.items():
        alike = alarm_rules.identical(trainings, "identical_trainings", "training seed")
        found += [((variant, train_seed), eval_seed, alarm) for train_seed, alarm in alike.items()]
    return found
