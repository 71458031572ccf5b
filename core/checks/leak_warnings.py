"""What trainings saw of the evaluated tasks: leaks, which `allow_leaks` let through, and the demonstrations
alone, which is test-time training.

In come the records that launches leave, out come counts and the sentences that stand wherever such a run is
shown.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError
from core.runs.layout import SPEC, experiment_folder, record_files, runs_folder
from core.runs.recorded_leaks import Counts, counts_by_variant
from core.runs.run_record import read_record_file

if TYPE_CHECKING:
    from core.results.loading import Scores

TEST_TIME = "test-time training"
"""What marks a variant that saw the demonstrations of evaluated tasks."""
_OF_RUNS = re.compile(r"\b(scores|predictions|runs)\b", re.IGNORECASE)


def leaked_by_variant(root: Path, experiment: str) -> dict[str, int | None]:
    """The evaluated tasks that each variant's mixture gives away; None where no record says it."""
    return {variant: leaked for variant, (leaked, _, _) in _by_variant(root, experiment).items()}


def seen_by_variant(root: Path, experiment: str) -> dict[str, int | None]:
    """The evaluated tasks whose demonstrations each variant was trained on; None where no record says it."""
    return {variant: seen for variant, (_, seen, _) in _by_variant(root, experiment).items()}


def _by_variant(root: Path, experiment: str) -> dict[str, Counts]:
    return counts_by_variant(experiment_folder(root, experiment))


def seen_label(seen: int, evaluated: int | None) -> str:
    """What test-time training is called wherever its numbers stand."""
    tasks = f"the {seen:,}" if evaluated in (None, seen) else f"{seen:,} of the {evaluated:,}"
    return f"{TEST_TIME}: saw the demonstrations of {tasks} evaluated tasks"


def seen_labels(scores: "Scores") -> dict[str, str]:
    """What stands beside each variant that was trained at test time."""
    seen, tasks = scores.experiment.test_time, len(scores.tasks) or None
    return {variant: seen_label(seen[variant], tasks) for variant in scores.variants if variant in seen}


def seen_sentence(labels: Mapping[str, str]) -> str:
    """The labels of variants, by name, as one sentence; empty where there is none."""
    by_label: dict[str, list[str]] = {}
    for variant, label in sorted(labels.items()):
        by_label.setdefault(label, []).append(f"'{variant}'")
    listed = [f"{', '.join(names)}: {label}" for label, names in by_label.items()]
    return "; ".join(listed) + "." if listed else ""


def experiment_test_time(root: Path, experiment: str) -> str:
    """Which variants of an experiment were trained at test time, as all its pages and verbs say it; empty
    where none was."""
    return _test_time(root, experiment, _by_variant(root, experiment))


def _test_time(root: Path, experiment: str, counts: Mapping[str, Counts]) -> str:
    seen = {variant: of.seen for variant, of in counts.items() if of.seen}
    evaluated = _evaluated(root, experiment) if seen else None
    return seen_sentence({variant: seen_label(count, evaluated) for variant, count in seen.items()})


def _evaluated(root: Path, experiment: str) -> int | None:
    for record in record_files(experiment_folder(root, experiment)):
        try:
            return int(read_record_file(record)["evaluated"]["tasks"])
        except (UserError, KeyError, TypeError, ValueError):
            continue
    return None


def _known_rules(counts: Mapping[str, Counts]) -> str:
    """Which variants of an experiment were trained on other pairs of the pools that it evaluates; empty where
    none was."""
    named = [f"'{variant}' on those of {of.rules:,} tasks" for variant, of in counts.items() if of.rules]
    if not named:
        return ""
    return f"Known rules: trained on other pairs of the evaluated pools were {', '.join(named)}."


def no_leak_sentence(tasks: int, test_time: Mapping[str, int]) -> str:
    """What a clean gate found, of so many evaluated tasks and variants that saw demonstrations of some."""
    if not any(test_time.values()):
        return f"No leak: none of the {tasks:,} evaluated tasks is in a training mixture, in any disguise."
    return (
        f"No test pair of the {tasks:,} evaluated tasks is in a training mixture, in any disguise; of"
        f" {max(test_time.values()):,} tasks the demonstrations are, which is test-time training."
    )


def facts(root: Path, experiment: str) -> list[str]:
    """What a reader must know of an experiment that is no leak: test-time training and known rules."""
    counts = _by_variant(root, experiment)
    found = (_test_time(root, experiment, counts), _known_rules(counts))
    return [sentence for sentence in found if sentence]


def notices(root: Path, experiment: str) -> list[str]:
    """The sentence about an experiment's leaks and the facts about its trainings, those that there are."""
    leak = experiment_leaks(root, experiment)
    return [leak, *facts(root, experiment)] if leak else facts(root, experiment)


def experiment_leaks(root: Path, experiment: str) -> str:
    """The warning about an experiment, as all its pages and verbs show it; empty where no run leaks."""
    leaking = [(variant, count) for variant, count in leaked_by_variant(root, experiment).items() if count]
    if not leaking:
        return ""
    (first, number), *rest = leaking
    others = "".join(f", '{variant}' with {count:,}" for variant, count in rest)
    tasks = "evaluated task or twin" if number == 1 else "evaluated tasks or twins"
    return (
        f"Leak: '{first}' was trained with {number:,} {tasks} in its mixture{others}."
        " Such scores are not comparable."
    )


def queried_experiments(root: Path, query: str) -> list[str]:
    """The experiments that a query over runs names in quotes, or else all."""
    if not _OF_RUNS.search(query):
        return []
    known = sorted(path.parent.name for path in runs_folder(root).glob(f"*/{SPEC}"))
    return [name for name in known if f"'{name}'" in query] or known
