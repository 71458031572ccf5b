"""Joining a Ray cluster, and how its tasks end."""

import os
import secrets
import time
from typing import Any, NamedTuple

from core.cluster.settings import LOCAL
from core.errors import UserError
from core.machine.processes import CODE

SECONDS_BETWEEN_TRIES = 1.0
SECONDS_TO_CONNECT = 60.0


def connect(address: str) -> None:
    """Join the cluster, which may still be starting. Raises `UserError` where none answers in a minute."""
    import ray

    end = time.monotonic() + SECONDS_TO_CONNECT
    while True:
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                runtime_env={"env_vars": {"PYTHONPATH": str(CODE)}},
                **(_LOCAL if address == LOCAL else {}),
            )
            return
        except (ConnectionError, RuntimeError, ValueError) as problem:
            if time.monotonic() < end:
                time.sleep(SECONDS_BETWEEN_TRIES)
                continue
            reason = str(problem).strip().splitlines()[0]
            raise UserError(
                f"No Ray cluster answers at {address} ({reason}). Start one (ray start --head) and set"
                " RAY_ADDRESS and the cluster's token, or leave RAY_ADDRESS unset to use this machine."
            ) from problem


def guard_local_cluster() -> None:
    """Give a cluster of this machine a token that nobody else knows, and that Ray need not keep in a file."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


_LOCAL: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}


class End(NamedTuple):
    """How a task ended: in words, None for a good end; and whether its node or process was lost with it."""

    words: str | None
    lost: bool = False


def how_it_ended(reference: Any) -> End:
    """How a task that has ended did so."""
    import ray

    try:
        return End(ray.get(reference))
    except ray.exceptions.RayTaskError as problem:
        return End(str(problem.cause).strip().splitlines()[0])
    except ray.exceptions.RayError as problem:
        message = str(problem).strip().splitlines()  # nothing of a task that was cancelled
        words = ": ".join([type(problem).__name__, *message[:1]])
        return End(words, lost=not isinstance(problem, ray.exceptions.TaskCancelledError))
