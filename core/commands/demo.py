"""`demo` and `dashboard`: the first minutes, and the pages."""

import os
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from core.commands.printing import HERE, Root
from core.errors import UserError

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the dashboard.")]
PORT = 8501
CODE = Path(__file__).parents[2]


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
    from core.experiments.demo import launch_demo

    if open_:
        _check_port(port)
    name = launch_demo(root, sys.argv, typer.echo)
    typer.echo("The runs go on if you close this terminal; the same command follows them again.")
    if not follow(root, name):
        typer.echo("Give the same command again: finished stages are kept.")
        raise typer.Exit(1)
    show(name, root=root)
    if open_:
        _serve(root, port, f"results?experiment={name}")
    else:
        typer.echo(f"See it as a page: python -m core dashboard, then /results?experiment={name}")


def dashboard(port: Port = PORT, root: Root = HERE) -> None:
    """Serve the pages on this machine and open them in the browser."""
    _check_port(port)
    _serve(root, port, "")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise UserError(
                f"Port {port} can't be used ({problem.strerror}). Choose another one: --port {port + 1}"
            ) from problem


def _serve(root: Path, port: int, page: str) -> None:
    """Run the dashboard's server in the foreground until Ctrl-C; a page opens once it answers."""
    address = f"http://127.0.0.1:{port}/{page}"
    typer.echo(f"The dashboard is at {address} (Ctrl-C ends it; runs go on).")
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py"]
    options = ["--server.address", "127.0.0.1", "--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "ARC_WORKBENCH_ROOT": str(root.resolve())}
    server = subprocess.Popen([*command, *options], cwd=CODE, env=environment)
    try:
        _open_when_ready(server, port, address)
        code = server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return
    if code:
        raise UserError(f"The dashboard's server ended with code {code}. Its message stands above.")


def _open_when_ready(server: "subprocess.Popen[bytes]", port: int, address: str) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        try:
            server.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
        webbrowser.open(address)
