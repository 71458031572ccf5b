"""All scores of an experiment in memory: evaluations × test outputs, one array per column.

In come the `scores.parquet` of every evaluation, read by one DuckDB query; out come arrays on which
`core.spread` works. An output that one evaluation has and another lacks counts there as one without any
attempt, which is wrong, and is counted in `missing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.errors import UserError
from core.experiments.experiment import Experiment, known_folder, read_experiment
from core.plain_files import file_stamp
from core.runs.imported_rows import imported_table
from core.runs.layout import TASKS, evaluation_files, evaluation_place
from core.scoring.metrics import higher_is_better
from core.scoring.score_bounds import broken_row
from core.storage.evaluation_files import CANDIDATES_FILE, SCORES_FILE
from core.storage.json_records import Record, Text, read_as
from core.storage.parquet_files import open_parquet
from core.storage.queries import exact_name, parquet, query, real_path
from core.storage.schemas import CANDIDATES, SCORES
from core.storage.seals import damaged

Floats = npt.NDArray[np.float64]
SHARE = "share"

COLUMNS = (
    *("attempts", "correct", "right_size", "pixels_sum", "pixels_max"),
    *("unanswered", "distinct", "votes_above", "votes_tied", "vote_rank"),
)

_QUERY = """
SELECT filename, experiment, variant, train_seed, eval_seed, source, task_id, test_index, {columns},
       dense_rank() OVER (ORDER BY source, task_id, test_index) - 1 AS output
FROM {scores}
"""

_NAMED = "SELECT filename, experiment, variant, train_seed, eval_seed FROM scores GROUP BY ALL ORDER BY ALL"

_RIGHT = """
SELECT source, task_id, test_index, min(place) AS place FROM {candidates}
WHERE correct AND logprob IS NOT NULL GROUP BY ALL
"""


@dataclass(frozen=True, order=True)
class Evaluation:
    """One inference pass of one run."""

    variant: str
    train_seed: int
    eval_seed: int


@dataclass(frozen=True)
class Scores:
    """The scores of an experiment.

    `columns` hold arrays of shape (evaluations, outputs), in the order of `evaluations` and `outputs`
    (source, task_id, test_index); `task_index` (outputs,) says which of `tasks` an output belongs to.
    Results from elsewhere have no outputs, but `numbers`: for each metric one per evaluation.
    """

    experiment: Experiment
    evaluations: tuple[Evaluation, ...]
    outputs: tuple[tuple[str, str, int], ...] = ()
    tasks: tuple[tuple[str, str], ...] = ()
    task_index: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    columns: dict[str, Floats] = field(default_factory=dict)
    missing: int = 0
    numbers: dict[str, Floats] = field(default_factory=dict)

    @property
    def variants(self) -> list[str]:
        """Variants in the order of the spec, then those that it no longer names."""
        found = sorted({evaluation.variant for evaluation in self.evaluations})
        return list(dict.fromkeys([*self.experiment.variants, *found]))

    @property
    def runs(self) -> dict[str, dict[int, list[int]]]:
        """For each variant and train seed the places of its evaluations, all in ascending order."""
        runs: dict[str, dict[int, list[int]]] = {variant: {} for variant in self.variants}
        for place, evaluation in enumerate(self.evaluations):
            runs[evaluation.variant].setdefault(evaluation.train_seed, []).append(place)
        return runs

    def higher_is_better(self, metric: str) -> bool:
        """Whether more of a metric is good: as the experiment says, else by the metric's name."""
        if metric in self.experiment.lower_is_better:
            return False
        return metric in self.experiment.higher_is_better or higher_is_better(metric)

    def unit(self, metric: str) -> str:
        """The unit of a metric: "share" (shown in percent), another one, or "number"."""
        return self.experiment.units.get(metric, "answers" if metric == "candidates" else SHARE)

    @property
    def attempts(self) -> int:
        """The most attempts at any test output; 0 where they are not known."""
        return int(self.columns["attempts"].max(initial=0)) if self.columns else 0


def load_scores(root: Path, name: str) -> Scores:
    """Read the scores of an experiment; without any evaluation so far they are empty.

    Raises `UserError` for an unknown experiment and for a file that can't be read, naming it.
    """
    experiment = read_experiment(root, name)
    folder = known_folder(root, name)
    if experiment.imported:
        return _imported(experiment, folder)
    paths = score_paths(folder)
    table = _read(paths)
    evaluations = [_evaluation(path) for path in paths]
    rows = file_places(table, paths)
    _check_names(table, name, dict(zip(map(exact_name, paths), evaluations, strict=True)))
    _check_rows(table, rows, paths)
    _check_tasks(folder, table, rows, paths)
    scores = _scores(experiment, evaluations, table, rows)
    return replace(scores, columns={**scores.columns, "rescored_rank": _rescored(scores, paths)})


def file_places(table: pa.Table, paths: Sequence[Path]) -> npt.NDArray[np.int64]:
    """For each row of a query its file, `filename`, as a place in `paths`; (rows,)."""
    order = {exact_name(path): place for place, path in enumerate(paths)}
    files = table.column("filename").combine_chunks().dictionary_encode()
    place_of_file = np.array([order[file] for file in files.dictionary.to_pylist()], dtype=np.int64)
    return np.asarray(place_of_file[np.from_dlpack(files.indices)])


def outputs_of(table: pa.Table) -> tuple[tuple[tuple[str, str, int], ...], npt.NDArray[np.int64]]:
    """The test outputs (source, task_id, test_index) that a query numbered as `output`, and for each row the
    place of its own; (rows,)."""
    places = _array(table, "output")
    _, first = np.unique(places, return_index=True)
    return tuple(_rows(table, ("source", "task_id", "test_index"), first)), places


def scores_stamp(root: Path, name: str) -> tuple[int, int, int]:
    """Changes whenever a result or the description changes: files, the sum of their times in ns (a time in
    the future hides no other), bytes."""
    folder = known_folder(root, name)
    paths = [*folder.glob("*.yaml"), *folder.glob("imported.*")]
    paths += evaluation_files(folder, SCORES_FILE, CANDIDATES_FILE)
    stamps = [file_stamp(path) for path in paths]
    return (len(stamps), sum(time for time, _ in stamps), sum(size for _, size in stamps))


def score_paths(folder: Path) -> list[Path]:
    """The score files of an experiment, by variant, train seed and eval seed."""
    return sorted(evaluation_files(folder, SCORES_FILE), key=_evaluation)


def _evaluation(path: Path) -> Evaluation:
    """The evaluation that a file belongs to, as its folders say."""
    return Evaluation(*evaluation_place(path))


def _read(paths: Sequence[Path]) -> pa.Table:
    source = parquet(paths, SCORES) if paths else f"(SELECT '' AS filename, * FROM {parquet([], SCORES)})"
    columns = ", ".join(f"""COALESCE("{name}"::DOUBLE, 'nan') AS "{name}\"""" for name in COLUMNS)
    try:
        return query(_QUERY.format(columns=columns, scores=source))
    except UserError as problem:
        raise UserError(_what_is_wrong(paths, problem)) from None


def _what_is_wrong(paths: Sequence[Path], problem: Exception) -> str:
    """Which file is at fault: the first that can't be read alone, or lacks a column."""
    for path in paths:
        try:
            with open_parquet(path) as file:
                lacking = {*SCORES.names} - {"votes"} - set(file.read().column_names)
        except (pa.ArrowException, OSError, ValueError) as error:
            return str(damaged(path, error))
        if lacking:
            return (
                f"{path} lacks the columns {', '.join(sorted(lacking))}. Delete it and launch the experiment"
                " again: only the scoring is repeated."
            )
    return str(problem)


def _check_names(table: pa.Table, experiment: str, evaluations: Mapping[str, Evaluation]) -> None:
    """Raise `UserError` where a row says that it belongs elsewhere than its file, by exact name, or files say
    different experiments; all have another one where somebody renamed the folder."""
    named = query(_NAMED, tables={"scores": table}).to_pylist()
    is_mixed = len({row["experiment"] for row in named}) > 1
    for row in named:
        own = Evaluation(row["variant"], row["train_seed"], row["eval_seed"])
        if own != evaluations[row["filename"]] or (is_mixed and row["experiment"] != experiment):
            raise UserError(
                f"{real_path(Path(row['filename']))} holds the scores of {row['experiment']}, {own.variant},"
                f" train seed {own.train_seed}, eval seed {own.eval_seed}. Move it where it belongs or delete"
                " it."
            )


def _check_rows(table: pa.Table, rows: npt.NDArray[np.int64], paths: Sequence[Path]) -> None:
    """Raise `UserError` naming the file where a row can't be true."""
    broken = broken_row({name: _array(table, name) for name in COLUMNS})
    if broken is not None:
        raise damaged(paths[rows[broken[0]]], broken[1])


class _Asked(Record):
    """What is read here of an entry of `tasks.json`; the whole takes libraries that nothing here does."""

    tasks: list[Text]


class _Frozen(Record):
    evaluated: list[_Asked]


def _check_tasks(folder: Path, table: pa.Table, rows: npt.NDArray[np.int64], paths: Sequence[Path]) -> None:
    """Raise `UserError` naming the file where a row is of a task that the experiment does not ask, where it
    is known which it asks."""
    try:
        asked = {task for one in read_as(folder / TASKS, _Frozen).evaluated for task in one.tasks}
    except UserError:
        return
    found = table.column("task_id").combine_chunks().dictionary_encode()
    strange = np.array([task not in asked for task in found.dictionary.to_pylist()], dtype=bool)
    is_strange = strange[np.from_dlpack(found.indices)]
    if is_strange.any():
        row = int(is_strange.argmax())
        task = table.column("task_id")[row].as_py()
        raise damaged(paths[rows[row]], f"{task[:80]!r} is no task that is asked")


def _scores(
    experiment: Experiment, evaluations: list[Evaluation], table: pa.Table, rows: npt.NDArray[np.int64]
) -> Scores:
    """Rows of all files as arrays of shape (evaluations, outputs)."""
    outputs, places = outputs_of(table)
    tasks = list(dict.fromkeys(output[:2] for output in outputs))
    number = {task: index for index, task in enumerate(tasks)}
    shape = (len(evaluations), len(outputs))
    columns = {}
    for name in COLUMNS:
        columns[name] = np.zeros(shape)
        columns[name][rows, places] = _array(table, name)
    index = np.array([number[output[:2]] for output in outputs], dtype=np.int64)
    filled = np.zeros(shape, dtype=bool)
    filled[rows, places] = True
    missing = int((~filled).sum())
    return Scores(experiment, tuple(evaluations), outputs, tuple(tasks), index, columns, missing)


def _rescored(scores: Scores, paths: Sequence[Path]) -> Floats:
    """The place of the truth among the rescored answers (0: nobody gave it), shape (evaluations, outputs);
    NaN for evaluations that were not rescored."""
    ranks = np.full((len(scores.evaluations), len(scores.outputs)), np.nan)
    place = {output: index for index, output in enumerate(scores.outputs)}
    for row, path in enumerate(paths):
        candidates = path.with_name(CANDIDATES_FILE)
        if not candidates.exists():
            continue
        ranks[row] = 0
        for record in query(_RIGHT.format(candidates=parquet([candidates], CANDIDATES))).to_pylist():
            if record["place"] < 1:
                raise damaged(candidates, "a place is below 1")
            output = (record["source"], record["task_id"], record["test_index"])
            if output in place:
                ranks[row, place[output]] = record["place"]
    return ranks


def _array(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column as an array. `to_numpy` and `pa.array` import pandas, which takes 0.2 s."""
    return np.asarray(np.from_dlpack(table.column(name).combine_chunks()))


def _rows(table: pa.Table, names: Sequence[str], places: npt.NDArray[np.int64]) -> list[tuple[Any, ...]]:
    """Some rows of a table as tuples."""
    columns = [table.column(name).combine_chunks() for name in names]
    return [tuple(column[place].as_py() for column in columns) for place in places.tolist()]


def _imported(experiment: Experiment, folder: Path) -> Scores:
    """Numbers from elsewhere as arrays of one per evaluation, NaN where a metric wasn't given."""
    records: list[dict[str, Any]] = imported_table(folder).to_pylist()
    evaluations = sorted(
        {Evaluation(record["variant"], record["train_seed"], record["eval_seed"]) for record in records}
    )
    place = {evaluation: index for index, evaluation in enumerate(evaluations)}
    numbers = {name: np.full(len(evaluations), np.nan) for name in experiment.metrics}
    for record in records:
        one = Evaluation(record["variant"], record["train_seed"], record["eval_seed"])
        if record["metric"] in numbers:
            numbers[record["metric"]][place[one]] = record["value"]
    return Scores(experiment, tuple(evaluations), numbers=numbers)
