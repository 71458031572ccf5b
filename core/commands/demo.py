"""`demo`: the first minutes."""

import sys
from typing import Annotated

import typer

from core.commands.printing import HERE, Root, say
from core.commands.serving import PORT, Port, check_port, serve


def demo(
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the dashboard when the runs are done.")
    ] = True,
    port: Port = PORT,
    root: Root = HERE,
) -> None:
    """Run the main job on real ARC tasks: train, predict, score, and show mean ± std."""
    from core.commands.following import follow
    from core.commands.results import show
    from core.launching.demo import launch_demo

    if open_:
        check_port(port)
    name = launch_demo(root, sys.argv, say)
    say("The runs go on if you close this terminal; the same command follows them again.")
    if not follow(root, name):
        say("Give the same command again: finished stages are kept.")
        raise typer.Exit(1)
    show(name, root=root)
    if open_:
        serve(root, port, f"results?experiment={name}")
    else:
        say(f"See it as a page: python -m core dashboard, then /results?experiment={name}")
