"""Verbs that ask trained models once more: `check EXPERIMENT --repeat`, `rescore EXPERIMENT`."""

from functools import partial
from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Experiment, Root, print_records, progress_bar, say
from core.number_words import amount


def check(
    experiment: Experiment,
    repeat: Annotated[
        bool,
        typer.Option(
            "--repeat", help="Ask a sample of each run's first evaluation again, and the base model the same."
        ),
    ] = False,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show every alarm: identical seeds, cut or missing answers, leaks, a loss that is no number, …

    Of test-time training it shows by hashes that no pair which was trained on equals an evaluated test pair.
    """
    from core.checks.alarms import check_records
    from core.checks.demonstration_proofs import demonstration_proofs

    if repeat:
        from core.launching.recheck import repeat_evaluations

        repeat_evaluations(root, experiment, partial(say, err=True))
    records = check_records(root, experiment)
    if as_json or records:
        print_records(records, as_json=as_json)
    else:
        say(f"No alarm in '{experiment}'.")
    for proof in [] if as_json else demonstration_proofs(root, experiment):
        hashes = f"sha256 {proof['trained_sha256'][:16]}… and {proof['test_sha256'][:16]}…"
        say(f"{proof['variant']}: {proof['detail']} ({hashes}).")


def rescore(
    experiment: Experiment,
    views: Annotated[int, typer.Option(help="Common views under which every answer is asked.", min=1)] = 8,
    most: Annotated[int, typer.Option(help="So many answers to each output, the most voted.", min=1)] = 16,
    root: Root = HERE,
) -> None:
    """Ask every run how likely each of its answers is under common views; what is stored is not asked again.

    Then `results EXPERIMENT --metric rescored_2` stands beside vote_2 and pass_n on the same answers.
    """
    from core.launching.recheck import rescore_experiment

    with progress_bar() as progress:
        count = rescore_experiment(root, experiment, views, most, progress, partial(say, err=True))
    see = f"python -m core results {experiment} --metric rescored_2"
    say(f"Rescored {amount(count, 'evaluations')}. See: {see}")
