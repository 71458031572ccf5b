"""A spec that evaluates a list of a partition, and the partition dealt out anew."""

from pathlib import Path
from typing import Any

from core.curation.partitions import listed_tasks, split
from core.specs.spec import ExperimentSpec
from tests.specs.tiny import spec_of


def partitioned(root: Path, **changes: Any) -> tuple[ExperimentSpec, list[str]]:
    """The tiny spec on `mine/val`, half of the source `toy`, and the ids of those tasks."""
    listed = _dealt_out(root, 0)
    share = {"source": "toy", "partition": "mine/val"}
    evaluation = {
        "sources": [share],
        "inference": {"engine": "transformers", "attempts": 3, "max_model_len": 128},
    }
    return spec_of(root, evaluation=evaluation, **changes), listed


def deal_out_anew(root: Path) -> list[str]:
    """Deal `mine` out with other seeds until `mine/val` holds other tasks; their ids."""
    before = _dealt_out(root, 0)
    return next(listed for seed in range(1, 50) if not set(listed := _dealt_out(root, seed)) & set(before))


def _dealt_out(root: Path, seed: int) -> list[str]:
    split(root, "mine", ["toy"], {"val": 2, "train": 2}, seed)
    return list(listed_tasks(root, "toy", "mine/val"))
