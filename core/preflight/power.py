"""What a launch will be able to show: the smallest difference that its design detects, by an earlier
experiment.

The noise is that of the same experiment, where it was launched before, else of the latest one with the same
base model that was evaluated on the same sources, carried over to the tasks, evaluations, attempts and
variants of the spec. Without such a pilot it is unknown.
"""

from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.preflight.pilot_noise import Design, Pilot, pilot
from core.preflight.run_plan import design_sentence
from core.results.loading import load_scores
from core.results.run_values import with_evaluations
from core.runs.layout import spec_path
from core.specs.spec import ExperimentSpec, evaluated_tasks, read_spec
from core.spread.planning import detectable_difference


@dataclass(frozen=True)
class Detectable:
    """What a design shows in a metric with a power of 0.8; `experiment` is the pilot behind it."""

    experiment: str
    metric: str
    pilot: Pilot
    design: Design

    @property
    def difference(self) -> float | None:
        """The smallest difference from the baseline, as a fraction; None with one run per variant."""
        noise = self.pilot.noise_for(self.design)
        return detectable_difference(noise, self.design.runs, self.design.variants)

    @property
    def sentence(self) -> str:
        """The same in words, and whose noise it rests on."""
        sentence = design_sentence(self.metric, self.pilot, self.design)
        if self.design.runs < 2 or self.design.variants < 2:
            return sentence
        seen, carried = self.pilot.design, ""
        if (seen.tasks, seen.evaluations, seen.attempts) != (
            self.design.tasks,
            self.design.evaluations,
            self.design.attempts,
        ):
            carried = f", measured on {seen.tasks} tasks × {seen.evaluations} evaluations × {seen.attempts}"
            carried += (
                f" attempts and carried over to {self.design.tasks} × {self.design.evaluations} ×"
                f" {self.design.attempts}"
                if self.pilot.carries_over
                else " attempts; runs evaluated once can't tell how other numbers would change it"
            )
        return f"{sentence} (Noise between runs as in '{self.experiment}'{carried}.)"


def detectable(root: Path, spec: ExperimentSpec) -> Detectable | None:
    """What the runs of a spec will detect in its main metric; None where no earlier experiment tells."""
    metric = spec.metrics[0]
    for name in sorted(list_experiments(root), key=lambda name: name != spec.name):
        try:
            if name != spec.name and not _is_alike(root, name, spec):
                continue
            found = pilot(with_evaluations(load_scores(root, name)), metric)
        except UserError:  # another make, nothing evaluated, one run per variant, or no noise: no pilot
            continue
        design = Design(
            len(spec.variants),
            len(spec.train_seeds),
            len(spec.eval_seeds),
            _task_count(root, spec) or found.design.tasks,
            spec.evaluation.inference.attempts,
        )
        return Detectable(name, metric, found, design)
    return None


def _task_count(root: Path, spec: ExperimentSpec) -> int | None:
    """How many tasks the spec evaluates; None where they can't be read yet."""
    try:
        return len(evaluated_tasks(root, spec.evaluation))
    except UserError:
        return None


def _is_alike(root: Path, name: str, spec: ExperimentSpec) -> bool:
    other = read_spec(spec_path(root, name))
    return (_bases(other), _evaluated(other)) == (_bases(spec), _evaluated(spec))


def _bases(spec: ExperimentSpec) -> set[str]:
    return {spec.recipe_of(variant).base_model for variant in spec.variants}


def _evaluated(spec: ExperimentSpec) -> set[str]:
    return {share.source for share in spec.evaluation.sources}
