"""The demo: everything that the main job needs, made where it is missing, and nothing twice."""

from pathlib import Path

from core.errors import UserError
from core.experiments.examples import examples, open_example
from core.launching.launch import launch
from core.machine.account import account
from core.machine.processes import Notify
from core.preflight.missing import needs_of, provide
from core.specs.spec import ExperimentSpec, find_spec, read_spec

DEMO = "demo"


def prepare_demo(root: Path, notify: Notify) -> ExperimentSpec:
    """Provide what the demo's spec needs and the project lacks; the spec."""
    spec = read_spec(find_spec(root, DEMO))
    for need in needs_of(root, spec):
        notify(f"{need.sentence} {need.action} …")
        provide(root, need)
    return spec


def launch_demo(root: Path, command: list[str], notify: Notify) -> str:
    """Prepare and launch the demo, and open the examples beside it; the experiment's name."""
    spec = prepare_demo(root, notify)
    for example in examples(root):
        notify(f"Opening '{example}', an experiment that comes with the project …")
        try:
            open_example(root, example)
        except UserError as problem:  # the demo does not need it
            notify(str(problem))
    runs = len(spec.variants) * len(spec.train_seeds)
    notify(
        f"{spec.question} {len(spec.variants)} variants × {len(spec.train_seeds)} trainings = {runs} runs,"
        f" each evaluated {len(spec.eval_seeds)} times by {spec.evaluation.inference.engine}."
    )
    launch(root, spec, command, by=account())
    return spec.name
