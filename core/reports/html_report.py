"""An experiment as one file to keep or to mail: tables, charts, settings, versions, in static HTML.

In come an experiment's scores and the records of its runs, out comes HTML that opens without a server, a
network or a script, follows the reader's light or dark, and prints. Whatever a person wrote (names,
questions, YAML, errors) is shown as text.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.checks import caveats
from core.checks.alarms import alarm_sentences, check_records
from core.checks.leak_warnings import facts, seen_labels
from core.experiments.experiment import known_folder, recorded_seen
from core.experiments.listing import list_runs
from core.number_words import amount
from core.preflight import run_plan
from core.reports import figures, text_tables
from core.reports.captions import marks
from core.reports.glossary import MORAL, SOURCE, TERMS, judged_sentence, trap
from core.reports.html_table import result_table
from core.reports.report_elements import (
    STYLE,
    command_html,
    escaped,
    figure_html,
    paragraph,
    plain_table,
    table_html,
    written,
)
from core.reports.variant_styles import variant_colours
from core.results import curves, number_format, run_values, verdicts
from core.results.conclusion import experiment_answer
from core.results.differences import differing_settings, setting_text
from core.results.loading import Scores, load_scores
from core.results.noise import ALL_VARIANTS, noise, spread_records
from core.results.note_references import frozen_note
from core.results.paired import paired_records
from core.results.reading import PLAIN, Reading
from core.results.table_records import records_of
from core.runs.layout import IMPORTED, SPEC, Run, eval_folders
from core.runs.run_record import read_record
from core.runs.state import state_of
from core.scoring.metrics import AGGREGATIONS
from core.spread.scopes import SCOPES
from core.storage.evaluation_files import SCORES_FILE

MOST_LEAKS_LISTED = 20


def html_report(root: Path, name: str, reading: Reading = PLAIN) -> str:
    """The whole file as text, its tables as they are read.

    Raises `UserError` for an unknown experiment, where nothing is evaluated, and where the noise that is to
    judge can't be borrowed.
    """
    scores = run_values.with_evaluations(load_scores(root, name))
    runs = list_runs(root, name)
    made = {run: read_record(run) for run in runs}
    question = scores.experiment.question or name
    parts = [
        f"<h1>{escaped(question)}</h1>",
        paragraph(f"Experiment {name}, written on {time.strftime('%Y-%m-%d %H:%M %Z')}."),
        paragraph(" ".join([caveats.honest_sentence(root, scores), *facts(root, name)])),
        *(f'<p class="careful">{escaped(one)}</p>' for one in _cautions(root, scores, runs, reading)),
        *_conclusion(root, scores),
        *_results(root, scores, reading),
        *_curves(root, scores, reading),
        *_comparisons(root, scores, reading),
        *_components(scores, reading),
        *_settings(root, scores, reading.baseline_of(scores)),
        *_provenance(root, name, runs, made),
        *_meanings(scores, reading),
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
        " style-src 'unsafe-inline'\">"
    )
    return f"{head}<title>{escaped(question)}</title>{STYLE}</head><body>{''.join(parts)}</body></html>\n"


def _conclusion(root: Path, scores: Scores) -> list[str]:
    """What a person concludes, with the numbers of today in place of its references."""
    text = frozen_note(root, scores)
    heading = [] if text.startswith("#") else ["<h2>Conclusion</h2>"]
    return [*heading, f'<div class="written">{written(text)}</div>'] if text else []


def _cautions(root: Path, scores: Scores, runs: Sequence[Run], reading: Reading) -> list[str]:
    """What a reader must know before any number: gaps, alarms (leaks among them), failures."""
    found = caveats.warnings(scores, reading)
    found += [sentence for sentence in (caveats.looks_sentence(root, scores),) if sentence]
    found += alarm_sentences(check_records(root, scores.experiment.name))
    for run in runs:
        state = state_of(run)
        if state.state in ("failed", "cancelled"):
            reason = f": {state.error}" if state.error else "."
            found.append(f"Run {run.variant}, train seed {run.train_seed}, {state.state}{reason}")
    return found


def _leaks(runs: Sequence[Run], made: Mapping[Run, Any]) -> dict[str, list[dict[str, Any]]]:
    """What the mixture of each variant gives away, as its first run noted at the launch."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault(run.variant, made[run].get("leaks") or [])
    return found


def _results(root: Path, scores: Scores, reading: Reading) -> list[str]:
    """The table of all metrics; then for each its verdicts and every run's dot."""
    spec, metrics, baseline = scores.experiment, reading.metrics_of(scores), reading.baseline_of(scores)
    aggregation, scope = reading.aggregation, reading.scope
    colours = variant_colours(scores.variants, spec.baseline)
    labels = seen_labels(scores)
    records = records_of(scores, reading)
    cells = {(record["variant"], record["metric"]): record for record in records}
    parts = ["<h2>Results</h2>", f"<p><strong>{escaped(experiment_answer(scores, reading))}</strong></p>"]
    shown = text_tables.results_table(records, marks=marks(root, spec.name))
    parts.append(table_html(text_tables.with_test_time(shown, scores)))
    parts.append(paragraph(number_format.scope_sentence(scores, scope, aggregation, metrics)))
    parts.append(paragraph(caveats.spreads_sentence(scores, reading)))
    for metric in metrics:
        rows = verdicts.verdict_rows(scores, metric, reading)
        parts.append(f"<h3>{escaped(metric)}</h3>{paragraph(number_format.metric_sentence(metric))}")
        parts.append(result_table(rows, cells, [metric], metric, baseline, scope, colours, labels))
        dots = run_values.dot_records(scores, metric, aggregation, scope)
        figure = figures.run_chart(rows, dots, scores.variants, spec.baseline, metric, spec.test_time)
        sentences = [number_format.noise_sentence(noise(scores, metric, aggregation))]
        if scope == "recipe" and reading.lender is None:  # what these runs can tell by their own noise
            sentences += [run_plan.detectable_sentence(scores, metric, aggregation)]
        dots_are = "evaluations" if scope == "checkpoint" else "runs"
        start = f"Dots: {dots_are}; bar: mean ± std; whisker: 95 % interval of the mean."
        caption = " ".join([start, *filter(None, sentences)])
        parts.append(figure_html(figure, f"{metric} of every run", caption))
    return parts


def _curves(root: Path, scores: Scores, reading: Reading) -> list[str]:
    """pass_k, vote_k and the strip of tasks, where there are values per task."""
    if not scores.columns:
        return []
    spec, parts = scores.experiment, ["<h2>More attempts</h2>"]
    if spec.search:
        parts = []  # a search makes no attempts
    for kind, sentence in () if spec.search else curves.SENTENCES.items():
        records = curves.curve_records(root, scores, kind, reading.aggregation)
        figure = figures.curve_chart(records, scores.variants, spec.baseline, f"{kind}, %", spec.test_time)
        parts.append(figure_html(figure, f"{kind} over attempts", f"{kind}: {sentence}"))
    strip = curves.solved(scores)
    never, sometimes, always = strip.kinds
    parts.append("<h2>Tasks by run</h2>")
    words = (
        f"{amount(always, 'tasks')} always solved, {sometimes} sometimes, {never} never. A column is a task,"
        " a line a run: grey never right, orange sometimes, blue in every attempt."
    )
    return [*parts, figure_html(figures.solved_chart(strip, spec.test_time), "tasks by run", words)]


def _comparisons(root: Path, scores: Scores, reading: Reading) -> list[str]:
    """Every variant against the baseline, at every scope that is known."""
    name, baseline = scores.experiment.name, reading.baseline_of(scores)
    comparable = [one for one in reading.metrics_of(scores) if verdicts.is_comparable(scores, one)]
    if not comparable:
        return []
    compared = replace(reading, metrics=tuple(comparable))
    parts = []
    for variant in scores.variants:
        if variant == baseline or not (scores.runs[variant] and scores.runs[baseline]):
            continue
        pair = baseline, variant
        records = verdicts.compare_records(scores, *pair, compared)
        records += paired_records(root, scores, *pair, compared)
        table = text_tables.with_test_time(text_tables.comparison_table(records, *pair), scores)
        line = text_tables.command("compare", name, *pair, **_options(scores, reading))
        title = f"<h3>{escaped(variant)} against {escaped(baseline)}</h3>"
        parts.append(f"{title}{table_html(table)}{command_html(line)}")
    return ["<h2>Against the baseline</h2>", *parts] if parts else []


def _options(scores: Scores, reading: Reading) -> dict[str, Any]:
    """The options of a command that `results` and `compare` share."""
    return {
        "metric": reading.metrics,
        "aggregation": text_tables.unless(reading.aggregation, "by_task"),
        "baseline": text_tables.unless(reading.baseline_of(scores), scores.experiment.baseline),
        "noise_of": reading.lender_name,
    }


def _components(scores: Scores, reading: Reading) -> list[str]:
    """The components of the spread, pooled over the variants."""
    every = spread_records(scores, reading.metrics_of(scores), reading.aggregation)
    records = [record for record in every if record["variant"] == ALL_VARIANTS]
    if not records:
        return []
    table = text_tables.with_test_time(text_tables.components_table(records), scores)
    line = text_tables.command("spread", scores.experiment.name)
    return ["<h2>Where the spread comes from</h2>", table_html(table), command_html(line)]


def _settings(root: Path, scores: Scores, baseline: str) -> list[str]:
    """The settings that differ from the baseline's, and only these."""
    if scores.experiment.imported:
        return []
    others = [variant for variant in scores.variants if variant != baseline]
    found = [
        {row["setting"]: row for row in differing_settings(root, scores, baseline, variant)}
        for variant in others
    ]
    lines = []
    for setting in dict.fromkeys(name for rows in found for name in rows):
        common = next(rows[setting]["a"] for rows in found if setting in rows)
        values = [common, *(rows[setting]["b"] if setting in rows else common for rows in found)]
        lines.append([setting, *map(setting_text, values)])
    header = ["setting", baseline, *others]
    body = plain_table(header, lines, len(header)) if lines else paragraph("No setting differs.")
    return ["<h2>Settings that differ</h2>", body]


def _provenance(root: Path, name: str, runs: Sequence[Run], made: Mapping[Run, Any]) -> list[str]:
    """Runs with their seeds and states, the versions and machines behind them, leaks, the whole spec."""
    folder = known_folder(root, name)
    parts = []
    if runs:
        header = ["variant", "train seed", "eval seeds", "state", "launched", "engine"]
        lines = [_run_line(run, made[run]) for run in runs]
        parts += ["<h2>Runs and versions</h2>", plain_table(header, lines, len(header))]
        versions = _versions(runs, made)
        parts += [plain_table(["what", "value", "runs"], versions, 3)] if versions else []
    leaks = [(variant, leak) for variant, found in _leaks(runs, made).items() for leak in found]
    if runs:
        parts.append("<h2>Leaks</h2>")
        parts.append(_leak_table(leaks) if leaks else paragraph(_no_leak(recorded_seen(folder))))
    spec = folder / SPEC if (folder / SPEC).exists() else folder / IMPORTED
    text = spec.read_text(encoding="utf-8", errors="replace")
    return [*parts, "<h2>The whole specification</h2>", f"<pre>{escaped(text)}</pre>"]


def _no_leak(test_time: Mapping[str, int]) -> str:
    if not test_time:
        return "No mixture held an evaluated task or a twin of one."
    return (
        "No mixture held a test pair of an evaluated task, or a twin of one. Demonstrations were trained on:"
        " that is test-time training."
    )


def _run_line(run: Run, record: Mapping[str, Any]) -> list[str]:
    engine = record.get("engine") or {}
    seeds = [str(seed) for seed, folder in eval_folders(run.folder) if (folder / SCORES_FILE).exists()]
    version = f"{engine.get('name', '')} {engine.get('version', '')}".strip()
    return [
        *(run.variant, str(run.train_seed), ", ".join(seeds) or number_format.UNKNOWN, state_of(run).state),
        str(record.get("created") or number_format.UNKNOWN),
        version or number_format.UNKNOWN,
    ]


def _versions(runs: Sequence[Run], made: Mapping[Run, Any]) -> list[list[str]]:
    """Code, libraries, hardware and data, each value once with the number of runs that have it."""
    counted: dict[tuple[str, str], int] = {}
    for run in runs:
        record = made[run]
        parts = {
            **{f"code {key}": value for key, value in (record.get("code") or {}).items()},
            **(record.get("libraries") or {}),
            **(record.get("hardware") or {}),
            **{f"data {source}": value for source, value in (record.get("data") or {}).items()},
            "base model": record.get("base_model"),
            "command": " ".join(map(str, record.get("command") or [])),
        }
        for key, value in parts.items():
            if value not in (None, "", []):
                pair = (key, setting_text(value))
                counted[pair] = counted.get(pair, 0) + 1
    return [[key, value, str(count)] for (key, value), count in counted.items()]


def _leak_table(leaks: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    header = ["variant", "trained on", "evaluated", "kind"]
    lines = [
        [
            variant,
            f"{leak.get('source_a')} {leak.get('task_a')}",
            f"{leak.get('source_b')} {leak.get('task_b')}",
            str(leak.get("kind")),
        ]
        for variant, leak in leaks[:MOST_LEAKS_LISTED]
    ]
    more = len(leaks) - len(lines)
    rest = paragraph(f"{more:,} more are in the runs' records.") if more else ""
    return plain_table(header, lines, 4) + rest


def _meanings(scores: Scores, reading: Reading) -> list[str]:
    """What the numbers mean, in the words of the page "How to read this"."""
    rows = [[term, meaning] for term, meaning in TERMS.items()]
    rows += [[f"counted {name}", text] for name, text in AGGREGATIONS.items()]
    rows += [[f"scope {name}", f"generalises over: {scope.over}"] for name, scope in SCOPES.items()]
    parts = ["<h2>How to read the numbers</h2>", plain_table(["you see", "it means"], rows, 2)]
    parts.append(f"<h3>The trap</h3>{paragraph(f'The share of outputs of the right size, from {SOURCE}.')}")
    parts += [paragraph(f"Judged by {one.unit}: {judged_sentence(one)}") for one in trap()]
    parts += [paragraph(sentence) for sentence in MORAL]
    line = text_tables.command(
        *("results", scores.experiment.name),
        scope=text_tables.unless(reading.scope, "recipe"),
        **_options(scores, reading),
    )
    return [*parts, "<h2>The same again</h2>", command_html(line)]
