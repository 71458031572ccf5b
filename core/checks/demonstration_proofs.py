"""The proof that test-time training saw demonstrations alone: hashes of all pairs that a mixture can show,
beside those of all test pairs that are evaluated.

A pair stands for all that equal it up to symmetry, recolouring and reversal. In comes an experiment's frozen
lists of tasks, out come flat records.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.checks.leak_warnings import seen_by_variant, seen_label
from core.experiments.launched_experiment import LaunchedExperiment
from core.mixing.demonstrations import pair_forms
from core.training.adaptation import demonstrations_to_learn


def demonstration_proofs(root: Path, experiment: str) -> list[dict[str, Any]]:
    """One flat record per variant that was trained at test time: variant, evaluated_tasks, trained_pairs,
    test_pairs (both distinct), common_pairs (0 is the proof), trained_sha256, test_sha256, detail.

    Raises `UserError` where the tasks have changed since the launch.
    """
    seen = {name: count for name, count in seen_by_variant(root, experiment).items() if count}
    if not seen:
        return []
    launched = LaunchedExperiment.open(root, experiment)
    evaluated = launched.evaluated
    tested = pair_forms(evaluated, tests_only=True).keys()
    records = []
    for variant, count in seen.items():
        tasks = [task for members in launched.trained(variant).values() for task in members]
        recipe = launched.spec.recipe_of(variant)
        if recipe.test_time is not None:
            tasks += demonstrations_to_learn(evaluated, evaluated, recipe.prompt.encoding)
        trained = pair_forms(tasks).keys()
        common = len(trained & tested)
        label = seen_label(count, len(evaluated))
        records.append(
            {
                "variant": variant,
                "evaluated_tasks": count,
                "trained_pairs": len(trained),
                "test_pairs": len(tested),
                "common_pairs": common,
                "trained_sha256": _digest(trained),
                "test_sha256": _digest(tested),
                "detail": f"{label}; {len(trained):,} distinct pairs are trained on, {len(tested):,} test"
                f" pairs evaluated, {common or 'none'} in common up to symmetry, recolouring and reversal",
            }
        )
    return records


def _digest(forms: Iterable[bytes]) -> str:
    """The sha256 (hex) of canonical forms, whatever their order."""
    digest = hashlib.sha256()
    for form in sorted(forms):
        digest.update(hashlib.sha256(form).digest())
    return digest.hexdigest()
