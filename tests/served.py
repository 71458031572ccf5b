"""Whether a server of this machine is there."""

import socket
import urllib.request


def answers(port: int) -> bool:
    """Whether something takes connections at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_healthy(address: str) -> bool:
    """Whether a dashboard says that it can serve pages."""
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:  # which those of urllib are
        return False
