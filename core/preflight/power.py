"""What a launch will be able to show: the smallest difference that its runs detect, by an earlier experiment.

The std between runs is that of the same experiment, where it was launched before, else of the latest one
with the same base model that was evaluated on the same sources. Without such a pilot it is unknown.
"""

from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.preflight.planning import pilot
from core.results.loading import load_scores
from core.results.number_format import decimals_for, percent
from core.runs.experiment import list_experiments
from core.runs.layout import spec_path
from core.specs.spec import ExperimentSpec, read_spec
from core.spread.planning import detectable_difference, runs_needed


@dataclass(frozen=True)
class Detectable:
    """What so many runs per variant detect in a metric with a power of 0.8, as a fraction; `runs_for_half` is
    how many would detect half of it. `experiment` is the pilot and `std` its std between runs."""

    experiment: str
    metric: str
    std: float
    runs: int
    difference: float | None
    runs_for_half: int | None

    @property
    def sentence(self) -> str:
        """The same in words, in points."""
        if self.difference is None:
            return "One run per variant shows no difference: noise is seen between runs. Add train_seeds."
        points = percent(self.difference, decimals_for(100 * self.difference))
        half = "" if self.runs_for_half is None else f"; half of that takes {self.runs_for_half} runs"
        return (
            f"With {self.runs} runs per variant, differences in {self.metric} from {points} points are found"
            f" in 4 of 5 cases{half}. (Std between runs as in '{self.experiment}'.)"
        )


def detectable(root: Path, spec: ExperimentSpec) -> Detectable | None:
    """What the runs of a spec will detect in its main metric; None where no earlier experiment tells."""
    metric = spec.metrics[0]
    for name in sorted(list_experiments(root), key=lambda name: name != spec.name):
        try:
            if name != spec.name and not _is_alike(root, name, spec):
                continue
            known = pilot(load_scores(root, name), metric)
        except UserError:  # another make, or one run per variant: no pilot
            continue
        if known.std == 0:  # all its runs at the floor, or equal by chance: that says nothing about noise
            continue
        runs = len(spec.train_seeds)
        found = detectable_difference(known.std, runs)
        half = runs_needed(found / 2, known.std) if found else None
        return Detectable(name, metric, known.std, runs, found, half)
    return None


def _is_alike(root: Path, name: str, spec: ExperimentSpec) -> bool:
    other = read_spec(spec_path(root, name))
    return (_bases(other), _asked(other)) == (_bases(spec), _asked(spec))


def _bases(spec: ExperimentSpec) -> set[str]:
    return {spec.recipe_of(variant).base_model for variant in spec.variants}


def _asked(spec: ExperimentSpec) -> set[str]:
    return {share.source for share in spec.evaluation.sources}
