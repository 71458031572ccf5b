"""Mean ± std, intervals, components, tests, planning: pure functions on arrays.

A results table from scores, in few calls. `columns` holds the columns of `scores.parquet` of one
evaluation, `task_index` says which task each of its outputs belongs to:

    values = task_values(output_metric("vote_2", columns), task_index)   # one evaluation
    variants = {"plain": [[values, ...], ...], "longer": ...}   # variant → runs → evaluations → tasks

    for name, runs in variants.items():
        summarize_scope(runs, "recipe")        # Summary: 41.2 ± 0.8 (n = 3), and its interval
        components(runs)["training"].sd        # where the spread comes from
    noise = pooled(components(runs) for runs in variants.values())
    verdicts = judge({name: run_means(runs) for name, runs in variants.items()}, "plain")
    verdicts.between("plain", "longer")        # Comparison: difference, interval, p, verdict
    verdicts.letters                           # name → "a", "ab", "b"
    detectable_difference(RunNoise(verdicts.std, verdicts.freedom), runs=3)

Results from elsewhere, known only as one number per evaluation, enter as variant → runs → numbers; scope
"new_tasks" and the paired task test are then out of reach.

The modules: `intervals` and `scopes` (one variant); `components`, `crossed` and `reml` (sources of spread);
`verdict` with `judging_variance`, `scope_verdicts`, `letters`, `paired_trainings` and `companion_tests`
(several variants); `planning` with `power_simulation`, `interim_looks` and `simulate` (what a verdict is
worth); `distributions` beneath them.

The trap that this room is made against, from a lab note with two trained models, A and B. Judged by five
evaluations of each, B's correct_size differs from A's with p = 2e−5. Judged by three and two trainings of
the same recipes, p = .11. Both are right: the first says that these two models differ, the second that
the recipes may not. Evaluations of one model know nothing of what another training would do.
"""
