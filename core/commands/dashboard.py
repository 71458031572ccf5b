"""`dashboard`: serve the pages, on this machine alone unless an address is given.

Whoever reaches the server may look. Where other machines do and no login is configured, the pages change
nothing (see the dashboard's `rights`); the verb says so before it starts.
"""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tomllib
import webbrowser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlparse

import typer

from core.commands.printing import HERE, Root, say
from core.errors import UserError
from core.machine.processes import WITH_PARENT

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the dashboard.")]
Host = Annotated[
    str, typer.Option(help="Address to listen on; 0.0.0.0 is all. Without a login, others only look.")
]
PORT = 8501
THIS_MACHINE = "127.0.0.1"
CODE = Path(__file__).parents[2]
SECRETS = "secrets.toml"
SECONDS_TO_END = 5.0


def dashboard(
    port: Port = PORT,
    host: Host = THIS_MACHINE,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the pages in the browser once they answer.")
    ] = True,
    root: Root = HERE,
) -> None:
    """Serve the pages and open them in the browser; on this machine only, unless --host names an address."""
    check_port(port, host)
    serve(root, port, "", host, open_=open_)


def check_port(port: int, host: str = THIS_MACHINE) -> None:
    """Raise `UserError` where nothing can listen on that port of that address."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as problem:
        raise UserError(
            f"{host}, port {port} can't be used ({problem.strerror}). Choose another one: --port {port + 1}"
        ) from problem


def serve(root: Path, port: int, page: str, host: str = THIS_MACHINE, *, open_: bool = True) -> None:
    """Run the dashboard's server in the foreground until Ctrl-C or SIGTERM; a page opens once it answers."""
    login = login_settings(CODE)
    if not _is_this_machine(host):
        typer.secho(warning(login is not None), err=True, fg=typer.colors.YELLOW)
    here = THIS_MACHINE if host in ("0.0.0.0", "::") else host
    address = f"http://{f'[{here}]' if ':' in here else here}:{port}/{page}"
    say(f"The dashboard is at {address} (Ctrl-C ends it; runs go on).")
    command = [sys.executable, "-m", "dashboard.serve", *server_options(host, port, login)]
    environment = {**os.environ, "ARC_WORKBENCH_ROOT": str(root.resolve()), WITH_PARENT: "1"}
    for sign in (signal.SIGTERM, signal.SIGHUP):  # SIGKILL is left to the kernel, see `end_with_parent`
        if signal.getsignal(sign) is not signal.SIG_IGN:  # as below `nohup`
            signal.signal(sign, signal.default_int_handler)
    server = subprocess.Popen(command, cwd=CODE, env=environment)
    try:
        if open_:
            _open_when_ready(server, here, port, address)
        code = server.wait()
    except KeyboardInterrupt:
        _end(server)
        return
    if code:
        raise UserError(f"The dashboard's server ended with code {code}. Its message stands above.")


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server, by force where open pages keep it."""
    server.terminate()
    try:
        server.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def server_options(host: str, port: int, login: dict[str, Any] | None) -> list[str]:
    """Streamlit's options for an address.

    On this machine alone, only its own names are accepted in a request, so that a page elsewhere whose name
    is made to point here can't drive the dashboard; and the name that a login comes back to.
    """
    options = ["--server.address", host, "--server.port", str(port), "--server.headless", "true"]
    names = ["*"]
    if _is_this_machine(host):
        back = urlparse(str((login or {}).get("redirect_uri", ""))).hostname
        names = ["localhost", THIS_MACHINE, "::1", *([back] if back else [])]
    for name in names:
        options += ["--server.allowedHosts", name]
    return options


def warning(with_login: bool) -> str:
    """What a person should know who lets other machines in."""
    if with_login:
        return (
            "WARNING: other machines can reach this dashboard. Everybody may look; changing needs the login."
            " Put HTTPS in front of it, or names and cookies travel in the clear."
        )
    return (
        "WARNING: other machines can reach this dashboard and no login is configured, so it starts read-only:"
        " everybody may look, nobody may change anything. Configure a login in"
        " .streamlit/secrets.toml (README, More than one person), or leave --host away."
    )


def login_settings(code: Path) -> dict[str, Any] | None:
    """The section [auth] of Streamlit's secrets, where it looks for them; None where there is none."""
    for folder in (code, Path.home()):
        path = folder / ".streamlit" / SECRETS
        try:
            section = tomllib.loads(path.read_text(encoding="utf-8")).get("auth")
        except FileNotFoundError:
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise UserError(f"{path} is no valid TOML ({problem}). Correct it.") from problem
        if isinstance(section, dict):
            return section
    return None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 0.5):
            return True
    except OSError:
        return False


def _open_when_ready(server: "subprocess.Popen[bytes]", host: str, port: int, address: str) -> None:
    while server.poll() is None:
        if _answers(host, port):
            break
        try:
            server.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
        webbrowser.open(address)
