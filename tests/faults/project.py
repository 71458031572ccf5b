"""A small project with a file of every kind below `data/` and `runs/`, and what reads them."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from core.cluster.settings import ClusterSettings
from core.curation.flags import add_flag
from core.curation.overlaps import overlaps
from core.curation.partitions import split
from core.curation.sources import load_tasks
from core.exchange.import_predictions import import_predictions
from core.exchange.import_scores import import_results
from core.experiments.archive import archive_experiment
from core.experiments.notes import Notes, write_notes
from core.inference.rescore import candidates_of
from core.launching.launch import prepare
from core.machine.processes import Identity
from core.pipeline.shards import Shard
from core.prompts.lengths import EMBEDDED, source_lengths
from core.prompts.templates import PromptSettings
from core.runs.adapted import BEGUN, RESULT, AdaptedGroup
from core.runs.layout import (
    CLUSTER,
    DRIVER,
    LOOKS,
    WORKER,
    Run,
    eval_folders,
    experiment_folder,
    runs_folder,
    spec_path,
)
from core.runs.state import RunState, write_state
from core.settings import validated
from core.specs.draft import keep_draft
from core.specs.edit import as_yaml, save_spec
from core.specs.spec import ExperimentSpec, read_spec
from core.sql.saved import save_query
from core.storage.evaluation_files import CANDIDATES_FILE
from core.storage.files import append_records, write_json, write_text
from core.storage.schemas import CANDIDATES, grid_columns, write_table
from core.synthetic.experiments import SOURCE, make_experiment
from tests.specs.tiny import spec_file
from tests.training.tiny import tiny_root

EXPERIMENT, VARIANT, OTHER = "my-question", "plain", "more-colours"
IMPORTED, ANSWERED, LAUNCHED = "theirs", "answered", "trial"
SHIPPED = Path(__file__).resolve().parents[2] / "data" / "models" / "arc-tiny"


def full_project(root: Path) -> Path:
    """The project: two sources, flags, a partition, specs, a draft, a model, a finished, a launched and an
    archived experiment, imported numbers and imported answers."""
    tiny_root(root, model=False)
    shutil.copytree(SHIPPED, root / "data" / "models" / "tiny")
    make_experiment(root, "old", {"a": 0.0}, runs=1, evaluations=1, tasks=3, attempts=2)
    archive_experiment(root, "old")
    spec = make_experiment(root, EXPERIMENT, runs=2, evaluations=2, tasks=6, attempts=4)
    spec = with_test_time(root, spec)
    first = next(iter(load_tasks(root, SOURCE)))
    add_flag(root, first, SOURCE, "yes", "ada", "a note")
    split(root, "mine", [SOURCE], {"train": 3, "val": 2}, 1)
    save_query(root, "mine", "SELECT * FROM scores")
    prepare(root, read_spec(spec_file(root)), ["launch"], by="ada")
    save_spec(root, json.dumps(spec.model_dump(mode="json")))
    table = root / "results.csv"
    table.write_text("variant,train_seed,eval_seed,accuracy\na,0,0,0.5\na,1,0,0.6\nb,0,0,0.7\nb,1,0,0.4\n")
    import_results(root, table, IMPORTED)
    table.unlink()
    answers = root / "answers.json"
    write_json(answers, {task_id: [{"attempt_1": [[1]]}] for task_id in load_tasks(root, SOURCE)})
    import_predictions(root, answers, SOURCE, ANSWERED, "theirs")
    answers.unlink()
    keep_draft(root, "half", "name: half\nvariants: {plain: }\n")
    write_notes(root, EXPERIMENT, Notes(("a tag",), True, "What I think of {accuracy plain}."))
    looks = {"time": "2026-01-01T00:00:00+0000", "runs": {VARIANT: 2, OTHER: 2}, "added": {OTHER: 1}}
    append_records(experiment_folder(root, EXPERIMENT) / LOOKS, [looks])
    for variant in spec.variants:
        run = Run(root, EXPERIMENT, variant, 0)
        steps = [
            {
                "time": 1e9 + step,
                "stage": "train",
                "step": step,
                "total": 10,
                "loss": 1.0,
                "learning_rate": 1.0,
            }
            for step in range(1, 11)
        ]
        append_records(run.progress_file, steps)
        run.log_file.write_text("a line\n")
        write_json(run.check_file, [])
    for seed in spec.train_seeds:
        write_candidates(Run(root, EXPERIMENT, VARIANT, seed))
    write_state(Run(root, LAUNCHED, "plain", 0), RunState("failed", "train", 3, 6, error="It went wrong."))
    write_adapted(root, list(load_tasks(root, SOURCE)))
    write_json(experiment_folder(root, LAUNCHED) / CLUSTER, ClusterSettings(shards=2).model_dump())
    nobody = asdict(Identity(99_999, 1.0, "another boot", "another machine"))
    write_json(experiment_folder(root, LAUNCHED) / DRIVER, nobody)
    write_json(runs_folder(root) / WORKER, nobody)
    write_text(root / "data" / "settings.yaml", "on_finish:\n  command: [notify-send, hello]\n")
    overlaps(root, [SOURCE])
    source_lengths(root, SOURCE, EMBEDDED, PromptSettings())
    return root


def with_test_time(root: Path, spec: ExperimentSpec) -> ExperimentSpec:
    """The spec of a launched experiment as if one of its variants had been trained at test time."""
    value = spec.model_dump(mode="json")
    value["variants"][OTHER]["test_time"] = {"steps": 5}
    changed = validated(ExperimentSpec, value, "the spec")
    write_text(spec_path(root, spec.name), as_yaml(value))
    return changed


def write_adapted(root: Path, tasks: list[str]) -> None:
    """What test-time training leaves: of the first run when it is done, of the second while it goes on."""
    done, begun = (Run(root, EXPERIMENT, OTHER, seed) for seed in (0, 1))
    groups = [
        AdaptedGroup(group=f"{number:04d}", tasks=[(SOURCE, task)], loss_before=1.5, loss_after=0.5, steps=5,
                     seconds=2.0, tokens_per_second=100.0, weights="0" * 64)
        for number, task in enumerate(tasks, 1)
    ]  # fmt: skip
    write_json(done.adapted_file, [group.model_dump(mode="json") for group in groups])
    write_json(begun.adapt / "0001" / RESULT, groups[0].model_dump(mode="json"))
    write_json(begun.adapt / "0002" / BEGUN, {"loss_before": 1.5, "seconds": 1.0})
    report = {"step": 1, "total": 2, "tokens_per_second": 3.0, "error": None}
    write_json(Shard(1, 2).report_file(Run(root, LAUNCHED, "plain", 0), "infer"), report)


def write_candidates(run: Run) -> None:
    """Rescored answers to every output of a run, of which the most voted one is right."""
    for eval_seed, folder in eval_folders(run.folder):
        rows = [
            {
                "experiment": run.experiment,
                "variant": run.variant,
                "train_seed": run.train_seed,
                "eval_seed": eval_seed,
                "source": source,
                "task_id": task,
                "test_index": test,
                "place": place,
                "vote_place": place,
                "votes": one.votes,
                "correct": place == 1,
                "first_attempt": one.first_attempt,
                "views": 8,
                "logprob": -float(place),
                **{name: values[0] for name, values in grid_columns("output", [one.grid]).items()},
            }
            for (source, task, test), found in candidates_of(run.predictions(eval_seed)).items()
            for place, one in enumerate(found, 1)
        ]
        table = pa.Table.from_pylist(rows, schema=CANDIDATES)
        write_table(folder / CANDIDATES_FILE, table, CANDIDATES)


def task_of(root: Path) -> str:
    """An evaluated task."""
    return next(iter(load_tasks(root, SOURCE)))


def reading_verbs(root: Path, out: Path) -> list[list[str]]:
    """Every verb that only reads, as it is typed; what a verb writes goes below `out`."""
    task = task_of(root)
    forms: list[list[str]] = [[], ["--json"]]
    submission = out / "submission.json"
    verbs = [
        *(["data", "list", *form] for form in forms),
        *(["data", "stats", *form] for form in forms),
        ["data", "show", task],
        ["data", "show", task, "--json"],
        ["data", "partitions", "--json"],
        ["data", "leaks", "all", "all", "--json"],
        ["data", "lengths", "--model", "tiny", "--json"],
        *(["flags", "list", *form] for form in forms),
        ["flags", "suggest", "--json"],
        ["flags", "export", str(out / "flags.jsonl")],
        ["model", "list", "--json"],
        *(["runs", "list", *form] for form in forms),
        *(["runs", "list", name] for name in (EXPERIMENT, LAUNCHED, IMPORTED)),
        *(["runs", "show", EXPERIMENT, VARIANT, "0", *form] for form in forms),
        ["runs", "show", LAUNCHED, "plain", "0"],
        *(
            ["results", EXPERIMENT, *form]
            for form in (*forms, ["--format", "markdown"], ["--html", str(out / "a.html")])
        ),
        ["results", EXPERIMENT, "--metric", "rescored_2"],
        ["results", IMPORTED],
        ["results", ANSWERED],
        ["compare", EXPERIMENT, VARIANT, OTHER],
        ["compare", EXPERIMENT, VARIANT, OTHER, "--tasks"],
        ["compare", IMPORTED, "a", "b"],
        ["spread", EXPERIMENT],
        ["plan", EXPERIMENT, "--points", "3"],
        *(["check", EXPERIMENT, *form] for form in forms),
        ["predictions", "show", EXPERIMENT, task],
        ["predictions", "show", EXPERIMENT, task, "--by", "run", "--json"],
        ["predictions", "export", EXPERIMENT, VARIANT, "--kaggle", str(submission)],
        ["predictions", "export", EXPERIMENT, VARIANT, "--kaggle", str(submission), "--rescored"],
        ["predictions", "export", EXPERIMENT, VARIANT, "--attempts", str(out / "attempts.json")],
        ["predictions", "validate", str(submission), "--source", SOURCE],
    ]
    return [[*verb, "--root", str(root)] for verb in verbs]


def slow_verbs(root: Path) -> list[list[str]]:
    """Reading verbs that start a process of their own."""
    tables = ("scores", "predictions", "pairs", "runs", "progress", "flags", "imported")
    return [["sql", f"SELECT count(*) FROM {name}", "--root", str(root)] for name in tables]


def pages(root: Path) -> list[str]:
    """Every page, as its address."""
    found = [
        "home",
        "curate",
        "data",
        f"launch?spec={LAUNCHED}",
        "launch?spec=my-question",
        "sql",
        "how_to_read",
    ]
    found += [f"runs?experiment={name}" for name in (EXPERIMENT, LAUNCHED)]
    found += [f"results?experiment={name}" for name in (EXPERIMENT, IMPORTED, ANSWERED)]
    found += [f"{page}?experiment={EXPERIMENT}" for page in ("compare", "tasks")]
    return [*found, "results", "runs", f"tasks?experiment={EXPERIMENT}&task={SOURCE}/{task_of(root)}"]
