"""A small project with a file of every kind below `data/` and `runs/`, and what reads them."""

import json
import shutil
from pathlib import Path

from core.curation.flags import add_flag
from core.curation.partitions import split
from core.curation.sources import load_tasks
from core.exchange.import_predictions import import_predictions
from core.exchange.import_scores import import_results
from core.experiments.archive import archive_experiment
from core.experiments.notes import Notes, write_notes
from core.launching.launch import prepare
from core.runs.layout import LOOKS, Run, experiment_folder
from core.runs.state import RunState, write_state
from core.specs.draft import keep_draft
from core.specs.edit import save_spec
from core.specs.spec import read_spec
from core.sql.saved import save_query
from core.storage.files import append_records, write_json
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
    write_state(Run(root, LAUNCHED, "plain", 0), RunState("failed", "train", 3, 6, error="It went wrong."))
    return root


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
    found = ["home", "curate", "data", f"launch?spec={LAUNCHED}", "launch?spec=my-question", "sql", "reading"]
    found += [f"runs?experiment={name}" for name in (EXPERIMENT, LAUNCHED)]
    found += [f"results?experiment={name}" for name in (EXPERIMENT, IMPORTED, ANSWERED)]
    found += [f"{page}?experiment={EXPERIMENT}" for page in ("compare", "tasks")]
    return [*found, "results", "runs", f"tasks?experiment={EXPERIMENT}&task={SOURCE}/{task_of(root)}"]
