"""Two Ray nodes on one machine, and an experiment that loses one of them in the middle of a training. On the
other one a second experiment is stopped, goes on, loses its driver, goes on, and is answered in parts.

Run by `test_cluster` inside a network namespace of its own that knows nothing but loopback, because Ray
listens on all addresses. The second node has process numbers and a host name of its own, so that killing
its first process ends everything on it, as when a machine loses power. Prints what happened as JSON.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from core.cluster.settings import ClusterSettings
from core.experiments.listing import run_records
from core.launching.launch import launch
from core.launching.stop_and_resume import resume_runs, stop_runs
from core.runs.layout import Run
from core.runs.state import state_of
from core.runs.supervisors import driver_of
from core.specs.spec import find_spec, read_spec

ROOT = Path(sys.argv[1])
REPOSITORY = Path(__file__).resolve().parents[2]
PORT = 6379
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "RAY_ADDRESS": f"127.0.0.1:{PORT}",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "of-this-test-alone",
    "RAY_worker_niceness": "0",  # else other work of this machine comes first
    # A node that is gone refuses at once and is noticed in seconds; a slow one is not given up.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "5",
}
BEGAN = time.monotonic()


def node(
    name: str, *options: str, isolated: bool = False, inside: str = "hostname node-b"
) -> "subprocess.Popen[bytes]":
    """Start a node with one core and wait until it is up; it ends with the process that is returned. One that
    is isolated first does what is to be done `inside`."""
    command = [*RAY, "start", *options, "--num-cpus", "1", "--object-store-memory", str(80 * 2**20)]
    command += ["--disable-usage-stats", "--block"]
    if isolated:
        own = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child"]
        command = [*own, "sh", "-c", f'{inside} && exec "$@"', "sh", *command]
    log = ROOT / f"{name}.log"
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log.open("wb"), stderr=subprocess.STDOUT)
    wait_for(lambda: "Ray runtime started" in log.read_text(errors="replace"), f"{name} is up")
    return process


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 300) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            print(f"{time.monotonic() - BEGAN:6.1f} s  {what}", file=sys.stderr, flush=True)
            return found
        time.sleep(0.1)
    raise SystemExit(f"waited {seconds} s in vain: {what}")


def core(*arguments: str) -> str:
    command = [sys.executable, "-m", "core", *arguments, "--root", str(ROOT)]
    done = subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True)
    print(done.stderr, file=sys.stderr)
    return done.stdout


def training_on_node_b() -> dict[str, Any] | None:
    """The state of the run that trains on the second node and has left a checkpoint."""
    for path in ROOT.glob("runs/trial/*/train-*/state.json"):
        state = json.loads(path.read_text())
        if (state["state"], state["stage"], state["host"]) == ("running", "train", "node-b") and any(
            (path.parent / "checkpoint").glob("step-*")
        ):
            return {"run": path.parent.parent.name, **state}
    return None


def stopped_and_driverless() -> dict[str, Any]:
    """What becomes of an experiment that is stopped, and then loses its driver."""
    run = Run(ROOT, "again", "plain", 0)
    os.environ.update(ENVIRONMENT)
    launch(ROOT, read_spec(find_spec(ROOT, "again")), ["launch"], cluster=ClusterSettings(shards=2))
    wait_for(lambda: trains(run) and any((run.folder / "checkpoint").glob("step-*")), "again: a checkpoint")
    began = time.monotonic()
    stop_runs(ROOT, "again")
    stopped = {"state": state_of(run).state, "left": stages_at_work(), "seconds": time.monotonic() - began}
    step = state_of(run).step or 0
    resume_runs(ROOT, "again")
    wait_for(lambda: trains(run) and (state_of(run).step or 0) > step, "again: goes on after the stop")
    driver = driver_of(ROOT, "again")
    assert driver is not None
    began = time.monotonic()
    os.kill(driver.pid, signal.SIGKILL)
    wait_for(lambda: state_of(run).state == "failed" and not stages_at_work(), "again: without a driver")
    driverless = {"error": state_of(run).error, "seconds": time.monotonic() - began}
    resume_runs(ROOT, "again")
    wait_for(lambda: state_of(run).state == "done", "again: done")
    return {"stopped": stopped, "driverless": driverless}


def trains(run: Run) -> bool:
    return (state_of(run).state, state_of(run).stage) == ("running", "train")


def stages_at_work() -> list[int]:
    """The processes that work on a stage of a run."""
    found = psutil.process_iter(["cmdline"])
    return [one.pid for one in found if {str(ROOT), "--stage"} <= set(one.info["cmdline"] or [])]


def two_nodes(inside: str = "hostname node-b") -> "subprocess.Popen[bytes]":
    """Start both nodes; the process that ends the second one."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    own = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short, as names of sockets must be
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    first, second = "127.0.0.1", "127.0.0.2"
    head = ["--head", "--port", str(PORT), "--include-dashboard=false", "--temp-dir", own]
    node("node-a", *head, "--node-ip-address", first)
    address = ["--address", f"{first}:{PORT}", "--node-ip-address", second]
    return node("node-b", *address, isolated=True, inside=inside)


def all_ended(experiment: str) -> bool:
    """Whether no run of an experiment goes on."""
    states = [
        json.loads(path.read_text())["state"] for path in ROOT.glob(f"runs/{experiment}/*/*/state.json")
    ]
    return all(state in ("done", "failed") for state in states)


def main() -> None:
    other = two_nodes()
    # fresh, or the run that goes on would take over what its equal has done
    print(core("launch", "trial", "--on", "ray", "--fresh"), file=sys.stderr)
    lost = wait_for(training_on_node_b, "a training on node-b")
    shown = run_records(ROOT, "trial")
    other.send_signal(signal.SIGKILL)
    wait_for(lambda: all_ended("trial"), "all runs ended")
    names = {"lost": lost["run"], "other": "plain" if lost["run"] == "twin" else "twin"}
    seen = {**names, "shown": shown, "ended": run_records(ROOT, "trial"), **stopped_and_driverless()}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
