"""Experiments on a Ray cluster: what a run gets, whose an experiment is, and what a lost node loses."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from core.cluster import settings as cluster_module
from core.cluster.driver import drive
from core.cluster.settings import (
    ClusterSettings,
    Share,
    address_of,
    check_ray,
    cluster_of,
    options_of,
    requested_cluster,
    share_of,
)
from core.cluster.shared_node import check_shared
from core.errors import UserError
from core.launching import launch as launch_module
from core.launching.launch import launch, prepare
from core.pipeline.job_order import runs_to_go_on
from core.pipeline.stages import run_stage
from core.runs.done import STAGES
from core.runs.layout import DRIVER_LOCK, Run, experiment_folder
from core.runs.progress import progress_of
from core.specs.spec import read_spec
from core.storage.files import locked, read_records
from core.storage.stores import Store
from tests.patience import patience
from tests.specs.tiny import spec_file, spec_of
from tests.training.tiny import tiny_spec

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = 400


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": 8.0, "memory": 64e9, **resources}}


@pytest.mark.parametrize(
    "settings, nodes, share",
    [
        ({}, [node()], Share(0, 8, None)),
        ({}, [node(), node(CPU=4.0)], Share(0, 4, None)),
        ({}, [node(GPU=4.0)], Share(1, 2, None)),
        ({}, [node(GPU=4.0, CPU=64.0), node(CPU=2.0)], Share(1, 16, None)),
        ({"gpus": 0.5}, [node(GPU=1.0)], Share(0.5, 4, None)),
        ({"gpus": 2, "cpus": 3, "memory_gigabytes": 2}, [node(GPU=4.0)], Share(2, 3, 2 * 2**30)),
    ],
)
def test_a_run_gets_its_share_of_a_node(settings: Any, nodes: Any, share: Share) -> None:
    assert share_of(ClusterSettings(**settings), nodes) == share


@pytest.mark.parametrize(
    "settings, nodes",
    [
        ({"gpus": 1}, [node()]),
        ({"gpus": 1}, [node(alive=False, GPU=8.0), node()]),
        ({"cpus": 9}, [node(), node()]),
        ({"memory_gigabytes": 100}, [node()]),
        ({}, []),
    ],
)
def test_a_share_that_no_node_has_is_refused(settings: Any, nodes: Any) -> None:
    with pytest.raises(UserError, match=r"No node of the cluster has .* so no run could begin"):
        share_of(ClusterSettings(**settings), nodes)


def test_where_the_cluster_is() -> None:
    assert address_of(ClusterSettings(), {}) == "local"
    assert address_of(ClusterSettings(), {"RAY_ADDRESS": "a:1"}) == "a:1"
    assert address_of(ClusterSettings(address="b:2"), {"RAY_ADDRESS": "a:1"}) == "b:2"


def test_a_launch_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    assert requested_cluster("local", {"shards": None}) is None
    asked = requested_cluster("ray", {"shards": 4, "gpus": None})
    assert asked == ClusterSettings(shards=4)
    assert options_of(asked) == ["--on", "ray", "--shards", "4"] and options_of(None) == []
    assert requested_cluster(None, {"gpus": 0.5}, before=asked) == ClusterSettings(shards=4, gpus=0.5)
    assert requested_cluster("local", {}, before=asked) is None
    with pytest.raises(UserError, match=r"Unknown target 'slurm'. Use --on local or --on ray."):
        requested_cluster("slurm", {})
    with pytest.raises(UserError, match=r"shards are for a cluster"):
        requested_cluster("local", {"shards": 4})
    with pytest.raises(UserError, match=r"shards"):
        requested_cluster("ray", {"shards": 0})
    asked = requested_cluster("ray", {"store": "s3://bucket/arc"})
    assert options_of(asked) == ["--on", "ray", "--store", "s3://bucket/arc"]
    assert requested_cluster(None, {"store": ""}, before=asked) == ClusterSettings(), "given up again"
    for none in ("/mnt/bucket", "://", "s3://", "file://runs", "file:///", "1s3://bucket", "a::b"):
        with pytest.raises(UserError, match=r"a store is an address: s3://"):
            requested_cluster("ray", {"store": none})
    with pytest.raises(UserError, match=r"github://x: .* Write s3://"):
        Store("github://x")
    for private in ("memory://runs", "simplecache::memory://runs"):
        with pytest.raises(UserError, match=r"a store must outlive its process; write s3://bucket/folder"):
            requested_cluster("ray", {"store": private})
    with pytest.raises(UserError, match=r"shards need a folder that all nodes share"):
        requested_cluster("ray", {"store": "s3://bucket", "shards": 2})
    monkeypatch.setattr(cluster_module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"Ray is not installed here"):
        check_ray()


def test_an_experiment_of_the_cluster_is_left_alone_here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(launch_module, "ensure_worker", lambda _: started.append("worker"))
    monkeypatch.setattr(launch_module, "ensure_driver", lambda _, name: started.append(name))
    spec = spec_of(root)
    (run,) = launch(root, spec, ["launch"], cluster=ClusterSettings(shards=2))
    assert started == ["trial"] and runs_to_go_on(root) == []
    assert cluster_of(root, "trial") == ClusterSettings(shards=2)
    launch(root, spec, ["launch"])
    assert started == ["trial", "worker"] and runs_to_go_on(root) == [run]
    assert cluster_of(root, "trial") is None
    with pytest.raises(UserError, match=r"'trial' is not for a cluster. Launch it with: --on ray"):
        drive(root, "trial", print)


def test_a_node_that_shares_no_folder_or_no_locks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not see .* Put the project on a folder that all nodes share"):
        check_shared(tmp_path)
    with locked(tmp_path / DRIVER_LOCK):
        check_shared(tmp_path)
    with pytest.raises(UserError, match=r"Locks in .* don't reach the node"):
        check_shared(tmp_path)


def in_namespace(*command: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run in a network namespace that knows only loopback, with process numbers of its own."""
    own = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*own, *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=seconds
    )


@pytest.fixture
def namespace() -> None:
    """Skips where a namespace of one's own is not permitted, or its tools are absent."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network namespace needs unshare (util-linux) and ip (iproute2)")
    tried = in_namespace("ip", "link", "set", "lo", "up", seconds=30)
    if tried.returncode != 0:
        pytest.skip(f"this machine permits no network namespace: {tried.stderr.strip()}")


@pytest.mark.engine
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_node_is_lost_and_a_driver_and_a_person_stops_a_run(root: Path, namespace: None) -> None:
    """Two equal variants train on two nodes; one node goes. A third of another experiment is stopped in its
    training, goes on, loses its driver, goes on, and is answered in parts."""
    evaluation = {
        "sources": [{"source": "toy"}],
        "inference": {"engine": "transformers", "attempts": 2, "max_model_len": 128, "max_output_tokens": 4},
    }
    recipe = json.loads(json.dumps(spec_of(root).recipe))
    recipe["training"] |= {"steps": STEPS}
    spec_file(root, variants={"plain": None, "twin": None}, recipe=recipe, evaluation=evaluation)
    again = tiny_spec(name="again", recipe=json.loads(json.dumps(recipe)), evaluation=evaluation)
    again["recipe"]["training"]["steps"] = STEPS // 4
    (root / "data" / "experiments" / "again.yaml").write_text(yaml.safe_dump(again))
    happened = in_namespace(sys.executable, "-m", "tests.cluster.two_nodes", str(root), seconds=880)
    assert happened.returncode == 0, happened.stderr[-3000:]
    seen = json.loads(happened.stdout)
    assert {record["state"] for record in seen["ended"]} == {"done"}
    assert {record["host"] for record in seen["shown"] if record["state"] == "running"} >= {"node-b"}

    lost, other = (Run(root, "trial", seen[name], 0) for name in ("lost", "other"))
    hosts = re.findall(r"train on (\S+)", (lost.folder / "log.txt").read_text())
    assert len(hosts) == 2 and hosts[0] == "node-b" != hosts[1]
    steps = [r["step"] for r in read_records(lost.folder / "progress.jsonl") if r["stage"] == "train"]
    assert set(steps) == set(range(1, STEPS + 1)) and steps.count(1) == 1  # not from the beginning
    assert len(steps) - len(set(steps)) <= recipe["training"]["checkpoint_every"]
    losses = [[r["loss"] for r in progress_of(run, "train")] for run in (lost, other)]
    assert losses[0] == losses[1] and len(losses[0]) == STEPS
    answers = [
        pq.read_table(run.eval_folder(seed) / "predictions.parquet").drop(["variant"]).to_pylist()
        for run in (lost, other)
        for seed in (0, 1)
    ]
    assert answers[:2] == answers[2:] and [len(rows) for rows in answers] == [10] * 4
    assert (other.eval_folder(1) / "scores.parquet").exists()
    assert sorted(path.name for path in experiment_folder(root, "trial").glob("*/train-0")) == ["train-0"] * 2

    third = Run(root, "again", "plain", 0)
    assert seen["stopped"]["state"] == "cancelled" and seen["stopped"]["left"] == []
    assert "runs resume again" in seen["driverless"]["error"]
    assert max(seen["stopped"]["seconds"], seen["driverless"]["seconds"]) < 20 * patience()
    records = [r for r in read_records(third.folder / "progress.jsonl") if r["stage"] == "train"]
    latest = {record["step"]: record["loss"] for record in records}
    assert list(latest) == list(range(1, STEPS // 4 + 1)) and [r["step"] for r in records].count(1) == 1
    assert all(record["loss"] == latest[record["step"]] for record in records), "as if nothing had happened"
    assert set(re.findall(r"infer (./2) on", (third.folder / "log.txt").read_text())) == {"1/2", "2/2"}
    assert list(third.folder.glob("eval-*/shards")) == []
    for seed in (0, 1):
        table = pq.read_table(third.eval_folder(seed) / "predictions.parquet")
        asked = table.select(["source", "task_id", "test_index", "attempt", "symmetry"])
        assert (
            asked.to_pylist()
            == pq.read_table(other.eval_folder(seed) / "predictions.parquet")
            .select(asked.column_names)
            .to_pylist()
        )


@pytest.mark.engine
@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_nodes_that_share_a_store_alone_lose_nothing(
    root: Path, tmp_path_factory: Any, namespace: None
) -> None:
    """Two equal variants train on two nodes, of which one can't see the project. That one goes, and the run
    on the other is stopped and resumed: both end with the losses and answers of a run that nobody disturbed.
    """
    store = tmp_path_factory.mktemp("bucket")
    evaluation = {
        "sources": [{"source": "toy"}],
        "inference": {"engine": "transformers", "attempts": 2, "max_model_len": 128, "max_output_tokens": 4},
    }
    recipe = json.loads(json.dumps(spec_of(root).recipe))
    recipe["training"] |= {"steps": STEPS}
    spec_file(root, variants={"plain": None, "twin": None}, recipe=recipe, evaluation=evaluation)
    script = "tests.cluster.two_nodes_apart"
    happened = in_namespace(sys.executable, "-m", script, str(root), str(store), seconds=880)
    assert happened.returncode == 0, happened.stderr[-3000:]
    seen = json.loads(happened.stdout)
    assert [(record["state"], record["error"]) for record in seen["ended"]] == [("done", None)] * 2
    assert len(seen["on_node_b"]) == 1 and not seen["on_node_b"][0].startswith(str(root))
    assert seen["stopped"]["state"] == "cancelled" and 0 < seen["stopped"]["step"] < STEPS
    assert seen["stopped"]["seconds"] < 20 * patience()

    undisturbed = tiny_spec(name="calm", recipe=recipe, evaluation=evaluation)
    (root / "data" / "experiments" / "calm.yaml").write_text(yaml.safe_dump(undisturbed))
    (calm,) = prepare(
        root, read_spec(root / "data" / "experiments" / "calm.yaml"), ["launch"], fresh_work=True
    )
    assert all(run_stage(calm, stage) for stage in STAGES)
    expected = [record["loss"] for record in progress_of(calm, "train")]
    assert len(expected) == STEPS
    for run in (Run(root, "trial", "plain", 0), Run(root, "trial", "twin", 0)):
        assert [record["loss"] for record in progress_of(run, "train")] == expected
        steps = [r["step"] for r in read_records(run.folder / "progress.jsonl") if r["stage"] == "train"]
        assert steps.count(1) == 1, "nobody began at the beginning again"
        for seed in (0, 1):
            tables = [pq.read_table(one.eval_folder(seed) / "predictions.parquet") for one in (run, calm)]
            rows = [table.drop(["variant", "experiment"]).to_pylist() for table in tables]
            assert rows[0] == rows[1] and len(rows[0]) == 10
            assert (run.eval_folder(seed) / "scores.parquet").exists()
    lost = Run(root, "trial", seen["lost"], 0)
    hosts = re.findall(r"train on (\S+)", (lost.folder / "log.txt").read_text())
    assert len(hosts) == 2 and hosts[0] == "node-b" != hosts[1]
