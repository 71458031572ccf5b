"""The demo: everything that the main job needs, made where it is missing, and nothing twice."""

from pathlib import Path

from core.curation.sources import list_sources
from core.importing.import_source import import_bundle
from core.launching.launch import launch
from core.machine.account import account
from core.machine.processes import Notify
from core.specs.spec import ExperimentSpec, find_spec, read_spec

DEMO = "demo"


def prepare_demo(root: Path, notify: Notify) -> ExperimentSpec:
    """Import ARC-1 where it is missing; the spec of the demo. Its base model ships with the project."""
    spec = read_spec(find_spec(root, DEMO))
    if not any(info.source.startswith("arc1/") for info in list_sources(root)):
        notify("Importing ARC-1 (400 training and 400 evaluation tasks) …")
        import_bundle(root, "arc1")
    return spec


def launch_demo(root: Path, command: list[str], notify: Notify) -> str:
    """Prepare and launch the demo; the experiment's name."""
    spec = prepare_demo(root, notify)
    runs = len(spec.variants) * len(spec.train_seeds)
    notify(
        f"{spec.question} {len(spec.variants)} variants × {len(spec.train_seeds)} trainings = {runs} runs,"
        f" each evaluated {len(spec.eval_seeds)} times by {spec.evaluation.inference.engine}."
    )
    launch(root, spec, command, by=account())
    return spec.name
