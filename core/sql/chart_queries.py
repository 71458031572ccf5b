"""The SQL behind each chart: a query over the project's tables that gives the numbers that the chart shows.

In come an experiment and what the chart is about, out comes text for `core.sql.ask`. As in the scores
themselves, an output that one evaluation has and another lacks counts there as one without an attempt.
"""

from collections.abc import Callable

from core.results.curves import budgets_up_to
from core.results.loading import SHARE, Scores
from core.scoring.metrics import form_of, form_of_one_task, parse_metric

_GRID = """WITH own AS (
  SELECT * FROM scores WHERE experiment = {experiment}
), outputs AS (
  SELECT variant, train_seed, eval_seed, source, task_id,
         coalesce(attempts, 0) AS attempts, {columns}
  FROM (SELECT DISTINCT variant, train_seed, eval_seed FROM own)
  CROSS JOIN (SELECT DISTINCT source, task_id, test_index FROM own)
  LEFT JOIN own USING (variant, train_seed, eval_seed, source, task_id, test_index)
)"""

_TASKS = {
    "by_task": "avg(value)",
    "all_outputs": "product(value)",
}
_RATIO = """), tasks AS (
  SELECT variant, train_seed, eval_seed, source, task_id, sum(value) AS total, count(*) AS outputs
  FROM known GROUP BY ALL
), shares AS (
  SELECT *, sum(total) OVER one / sum(outputs) OVER one AS ratio, avg(outputs) OVER one AS usual
  FROM tasks WINDOW one AS (PARTITION BY variant, train_seed, eval_seed)
), values AS (
  SELECT variant, train_seed, eval_seed, source, task_id,
         ratio + (total - ratio * outputs) / usual AS value  -- its mean is that of all outputs
  FROM shares
)"""


def runs_query(scores: Scores, metric: str, aggregation: str = "by_task") -> str:
    """A metric of every training, a share in percent and anything else in its unit, beside its mean and std
    over the trainings of the recipe."""
    spec, unit = scores.experiment, scores.unit(metric)
    mean = "100 * avg(value)" if unit == SHARE else "avg(value)"
    words = " in percent" if unit == SHARE else "" if unit == "number" else f" in {unit}"
    if spec.imported:
        body = (
            "WITH trainings AS (\n  SELECT variant, train_seed,"
            f" {mean} AS {_name(metric)}, count(*) AS evaluations\n"
            f"  FROM imported WHERE experiment = {_text(spec.name)} AND metric = {_text(metric)}\n"
            "  GROUP BY ALL\n)"
        )
    else:
        body = f"{_values(scores, metric, aggregation)}" + (
            ", evaluations AS (\n  SELECT variant, train_seed, eval_seed, avg(value) AS value"
            "\n  FROM values GROUP BY ALL\n), trainings AS (\n  SELECT variant, train_seed,"
            f" {mean} AS {_name(metric)}, count(*) AS evaluations\n"
            "  FROM evaluations GROUP BY ALL\n)"
        )
    return (
        f"-- {metric}{words} of every training, then its mean and std over trainings\n{body}\n"
        f"SELECT *, avg({_name(metric)}) OVER recipe AS recipe_mean,"
        f" stddev_samp({_name(metric)}) OVER recipe AS recipe_std\n"
        "FROM trainings WINDOW recipe AS (PARTITION BY variant)\nORDER BY variant, train_seed\n"
    )


def curve_query(scores: Scores, kind: str, aggregation: str = "by_task") -> str:
    """pass_k over k, with its std over trainings. Of vote_k the last point, at which all attempts vote:
    what fewer would have voted is no sum that SQL can do."""
    if kind != "pass_k":
        return (
            f"-- the right end of the curve of {kind}: all attempts vote, ties at random\n"
            f"{runs_query(scores, f'expected_{kind}', aggregation)}"
        )
    ks = ", ".join(map(str, budgets_up_to(scores.attempts)))
    task = "" if aggregation == "by_output" else ", source, task_id"
    one = _TASKS.get(aggregation, "avg(value)")
    return (
        "-- pass_k in percent over the number of attempts, its mean and std over trainings\n"
        f"{_GRID.format(experiment=_text(scores.experiment.name), columns='correct')}"
        f", drawn AS (\n  SELECT variant, train_seed, eval_seed, source, task_id, k, {_pass('k')} AS value\n"
        f"  FROM outputs CROSS JOIN (SELECT unnest([{ks}]) AS k)\n), tasks AS (\n"
        f"  SELECT variant, train_seed, eval_seed, k{task}, {one} AS value,"
        " count(value) < count(*) AS unknown\n"
        "  FROM drawn GROUP BY ALL\n), evaluations AS (\n"
        "  SELECT variant, train_seed, eval_seed, k, avg(value) AS value FROM tasks\n"
        "  GROUP BY ALL HAVING NOT bool_or(unknown)\n), trainings AS (\n"
        "  SELECT variant, train_seed, k, avg(value) AS value FROM evaluations GROUP BY ALL\n)\n"
        "SELECT variant, k, 100 * avg(value) AS pass_k, 100 * stddev_samp(value) AS std, count(*) AS n\n"
        "FROM trainings GROUP BY ALL ORDER BY variant, k\n"
    )


def solved_query(scores: Scores) -> str:
    """Right attempts of every training at every task."""
    grid = _GRID.format(experiment=_text(scores.experiment.name), columns="coalesce(correct, 0) AS correct")
    return (
        f"-- right attempts of every training at every task\n{grid}\n"
        'SELECT variant, train_seed, source, task_id, sum(correct) AS "right", sum(attempts) AS attempts\n'
        "FROM outputs GROUP BY ALL ORDER BY variant, train_seed, source, task_id\n"
    )


def differences_query(scores: Scores, a: str, b: str, metric: str, aggregation: str = "by_task") -> str:
    """A metric on every task, for two variants, and the difference: a share in percent, else in its unit."""
    share = scores.unit(metric) == SHARE
    mean = "100 * avg(value)" if share else "avg(value)"
    words = (" in percent", " in points") if share else ("", "")
    return (
        f"-- {metric} on every task{words[0]}, mean over trainings, and the difference{words[1]}\n"
        f"{_values(scores, metric, form_of_one_task(aggregation))}, trainings AS (\n"
        "  SELECT variant, train_seed, source, task_id, avg(value) AS value\n"
        f"  FROM values WHERE variant IN ({_text(a)}, {_text(b)}) GROUP BY ALL\n), pairs_of_values AS (\n"
        "  SELECT source, task_id,\n"
        f"         {mean} FILTER (variant = {_text(a)}) AS a,  -- {a}\n"
        f"         {mean} FILTER (variant = {_text(b)}) AS b  -- {b}\n"
        "  FROM trainings GROUP BY ALL\n)\n"
        "SELECT *, b - a AS difference FROM pairs_of_values ORDER BY abs(difference) DESC, source, task_id\n"
    )


def losses_query(experiment: str) -> str:
    """The training loss of every run over its steps."""
    return (
        "-- the training loss over the steps of every run\n"
        "SELECT variant, train_seed, step, loss FROM progress\n"
        f"WHERE experiment = {_text(experiment)} AND stage = 'train'\n"
        "ORDER BY variant, train_seed, step\n"
    )


def _values(scores: Scores, metric: str, aggregation: str) -> str:
    """Tables up to `values`: one value per evaluation and task; an evaluation in which one is unknown is
    left out as a whole."""
    family, k = parse_metric(metric)
    column, value = _FAMILIES[family](k)
    nothing = 1 if family == "unanswered" else 0
    grid = _GRID.format(experiment=_text(scores.experiment.name), columns=column)
    known = (
        f", answered AS (\n  SELECT *, CASE WHEN attempts = 0 THEN {nothing} ELSE {value} END AS value"
        "\n  FROM outputs\n), known AS (\n  SELECT * FROM answered"
        "\n  WINDOW one AS (PARTITION BY variant, train_seed, eval_seed)"
        "\n  QUALIFY count(value) OVER one = count(*) OVER one\n"
    )
    form = form_of(metric, aggregation)
    if form == "by_output":
        return f"{grid}{known}{_RATIO}"
    return (
        f"{grid}{known}), values AS (\n  SELECT variant, train_seed, eval_seed, source, task_id,"
        f" {_TASKS[form]} AS value\n  FROM known GROUP BY ALL\n)"
    )


def _pass(k: str) -> str:
    """1 − C(n−c, k) / C(n, k) as a product; unknown where k is larger than n."""
    missed = "greatest(attempts - correct - j, 0) / (attempts - j)"
    return (
        f"CASE WHEN attempts = 0 THEN 0 WHEN attempts >= {k}"
        f" THEN 1 - list_product(list_transform(range({k}), lambda j: {missed})) END"
    )


_FAMILIES: dict[str, Callable[[int | None], tuple[str, str]]] = {
    "accuracy": lambda _: ("correct", "correct / attempts"),
    "correct_pixels": lambda _: ("pixels_sum", "pixels_sum / attempts"),
    "max_correct_pixels": lambda _: ("pixels_max", "pixels_max"),
    "correct_size": lambda _: ("right_size", "right_size / attempts"),
    "any_correct_size": lambda _: ("right_size", "(right_size > 0)::INTEGER"),
    "unanswered": lambda _: ("unanswered", "unanswered / attempts"),
    "pass_n": lambda _: ("correct", "(correct > 0)::INTEGER"),
    "pass_k": lambda k: ("correct", _pass(str(k))),
    "vote_k": lambda k: ("vote_rank", f"coalesce(vote_rank BETWEEN 1 AND {k}, false)::INTEGER"),
    "expected_vote_k": lambda k: (
        "votes_above, votes_tied",
        f"CASE WHEN votes_tied > 0 THEN greatest(0, least(1, ({k} - votes_above) / votes_tied)) ELSE 0 END",
    ),
}
"""For each family of metrics the columns that it needs, and its value for one output."""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
