"""The end of `dashboard` is the end of its server: the port is free again."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import wait_for
from tests.served import answers

CODE = Path(__file__).parents[2]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_killed_dashboard_leaves_no_server(tmp_path: Path, sign: signal.Signals) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "core", "dashboard", "--no-open", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--root", str(tmp_path)],
        cwd=CODE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # it ignores one under `nohup`
    )
    try:
        wait_for(lambda: answers(port), 60)
        process.send_signal(sign)
        process.wait(30)
        wait_for(lambda: not answers(port), 10)
        assert process.returncode is not None and not answers(port)
    finally:
        process.kill()
        process.wait()
