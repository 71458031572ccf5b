"""Two Ray nodes that share no folder, only a store: one is lost in the middle of a training, and then the
other one's run is stopped and goes on.

Run by `test_cluster` as `two_nodes` is. The second node does not even see the project's folder, and each has
temporary files of its own. Prints what happened as JSON.
"""

import atexit
import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from core.experiments.listing import run_records
from core.runs.layout import Run
from core.runs.state import state_of
from tests.cluster.two_nodes import ENVIRONMENT, ROOT, all_ended, core, trains, two_nodes, wait_for

STORE = Path(sys.argv[2])


def trains_on_node_b() -> Run | None:
    """The run that trains on the second node and has left a checkpoint in the store."""
    for run in (Run(ROOT, "trial", variant, 0) for variant in ("plain", "twin")):
        stored = STORE.glob(f"trial/runs/{run.variant}/train-0/*/attempt-*/push-*/checkpoint/step-*")
        if trains(run) and state_of(run).host == "node-b (store)" and any(stored):
            return run
    return None


def stopped(run: Run) -> dict[str, object]:
    """What becomes of a run that is stopped while it trains."""
    began = time.monotonic()
    print(core("runs", "stop", "trial", "--of", run.name), file=sys.stderr)
    seen = {"state": state_of(run).state, "step": state_of(run).step, "seconds": time.monotonic() - began}
    wait_for(lambda: "cancelled" in (ROOT / "runs/trial/driver.log").read_text(), "the driver let go of it")
    core("runs", "resume", "trial", "--of", run.name)
    return seen


def main() -> None:
    ENVIRONMENT["TMPDIR"], scratch = (tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp") for name in "ab")
    for folder in (ENVIRONMENT["TMPDIR"], scratch):
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    hidden = f"hostname node-b && mount -t tmpfs none {shlex.quote(str(ROOT))}"
    other = two_nodes(f"{hidden} && export TMPDIR={scratch}")
    print(core("launch", "trial", "--on", "ray", "--store", f"file://{STORE}", "--fresh"), file=sys.stderr)
    lost = wait_for(trains_on_node_b, "a training on node-b")
    kept = Run(ROOT, "trial", "twin" if lost.variant == "plain" else "plain", 0)
    wait_for(lambda: trains(kept), "the other one trains too")
    on_node_b = [str(path) for path in Path(scratch).rglob("progress.jsonl")]
    other.send_signal(signal.SIGKILL)
    seen = stopped(kept)
    wait_for(lambda: all_ended("trial"), "all runs ended")
    ended = run_records(ROOT, "trial")
    print(json.dumps({"lost": lost.variant, "on_node_b": on_node_b, "stopped": seen, "ended": ended}))


if __name__ == "__main__":
    main()
