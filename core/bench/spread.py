"""All of spread for a large table: 20 variants × 10 runs × 400 tasks × 2 evaluations, all 190 pairs.

`whole_table` computes everything that pages show of such a table, from arrays in memory.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from core.bench.bench_context import Workshop
from core.bench.registry import Benchmark, Measured, Row
from core.seeds import generator

VARIANTS, RUNS, EVALUATIONS, TASKS = 20, 10, 2, 400
ALL = Row(
    "all of spread, all pairs",
    "s",
    "Summaries at three scopes, verdicts, letters, components, planning and 190 pairs of 20 variants ×"
    " 10 runs × 400 tasks × 2 evaluations.",
    wanted="< 2",
)


def scores() -> dict[str, Any]:
    """Variants with runs × evaluations × tasks of normal scores, each variant a little better."""
    rng = generator(0, "bench", "spread")
    task = rng.normal(size=TASKS)
    training = 0.3 * rng.normal(size=(VARIANTS, RUNS, 1, 1))
    interplay = rng.normal(size=(VARIANTS, RUNS, 1, TASKS))
    residual = 0.5 * rng.normal(size=(VARIANTS, RUNS, EVALUATIONS, TASKS))
    drawn = task + training + interplay + residual
    return {f"variant {place}": runs + 0.05 * place for place, runs in enumerate(drawn)}


def whole_table(variants: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is shown of variants (runs, evaluations, tasks); the first is the baseline."""
    from core.spread.companion_tests import paired_tasks, probability_of_improvement
    from core.spread.components import components, pooled, run_components
    from core.spread.crossed import shared_components, shared_run_components
    from core.spread.planning import detectable_difference
    from core.spread.power_simulation import RunNoise
    from core.spread.scope_verdicts import compare_scope
    from core.spread.scopes import SCOPES, run_means, summarize_scope, task_means
    from core.spread.verdict import judge

    baseline = next(iter(variants))
    per_run = {name: run_means(runs) for name, runs in variants.items()}
    by_task = {name: task_means(runs) for name, runs in variants.items()}
    verdicts = judge(per_run, baseline)
    return {
        "summaries": [
            summarize_scope(runs, scope, shared=True) for runs in variants.values() for scope in SCOPES
        ],
        "verdicts": [
            compare_scope(variants[baseline], runs, scope, comparisons=len(variants) - 1, shared=True)
            for scope in ("checkpoint", "new_tasks")
            for name, runs in variants.items()
            if name != baseline
        ],
        "noise": pooled(components(runs) for runs in variants.values()),
        "noise of runs": pooled(run_components(runs) for runs in variants.values()),
        "common noise": pooled(shared_components(runs) for runs in variants.values()),
        "common noise of runs": pooled(shared_run_components(runs) for runs in variants.values()),
        "pairs": verdicts.pairs,
        "letters": verdicts.letters,
        "detectable": detectable_difference(
            RunNoise(verdicts.std or 0, verdicts.freedom), RUNS, len(variants)
        ),
        "second opinions": [
            (
                paired_tasks(by_task[first], by_task[second]),
                probability_of_improvement(per_run[first], per_run[second]),
            )
            for first, second in combinations(variants, 2)
        ],
    }


def measure(workshop: Workshop) -> Iterator[Measured]:
    """Time `whole_table`."""
    variants = scores()
    workshop.notify("all pairs of 20 variants")
    yield Measured(ALL.name, workshop.seconds(lambda: whole_table(variants)))


BENCHMARKS = (Benchmark("spread", (ALL,), measure),)
