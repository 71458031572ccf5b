"""Experiments on a Ray cluster: what is requested of it, and which process drives an experiment there.

One driver per experiment, a detached process on the machine of the launch, hands each run to the cluster as
one task. The nodes share the project's folder, or a store lies between them; states, progress and logs are
where they are for runs of this machine, and a run that lost its node goes on from its checkpoint elsewhere.
`cluster.json` in an experiment's folder says that it is the cluster's: the queue of this machine leaves it.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from core.errors import UserError
from core.machine.processes import start_detached
from core.runs.layout import CLUSTER, DRIVER_LOG, DRIVER_START_LOCK, experiment_folder
from core.runs.supervisors import driver_of
from core.settings import Settings, validated
from core.storage.files import locked, read_json, write_json

GIGABYTE = 2**30
LOCAL = "local"
PRIVATE = {"memory", "data"}
"""Kinds of address that no other process sees."""
ADDRESS = re.compile(r"(file|local):///[^/].*|(?!(file|local):)[A-Za-z][A-Za-z0-9+.-]*://[^/].*")
"""A kind and a place: a whole path on a disk, anything else elsewhere."""


class ClusterSettings(Settings):
    """What an experiment requests of a cluster."""

    address: str | None = Field(
        None, description="Address of the Ray cluster; empty: RAY_ADDRESS, else this machine alone."
    )
    gpus: float | None = Field(
        None, ge=0, le=1024, description="GPUs of a run; empty: one where a node has any."
    )
    cpus: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="Cores of a run; empty: its share of a node, by GPUs or else all of it.",
    )
    memory_gigabytes: float | None = Field(
        None, gt=0, le=1e6, description="Memory of a run; empty: no request."
    )
    shards: int = Field(
        1, ge=1, le=1000, description="Parts in which a run is adapted, and answered, at the same time."
    )
    retries: int = Field(
        5, ge=0, le=10_000, description="How often a run that lost its node goes on elsewhere."
    )
    store: str | None = Field(
        None, description="Where nodes share no folder: a store for them, s3://…, gs://… or file:///…."
    )

    @field_validator("store")
    @classmethod
    def _is_an_address(cls, store: str | None) -> str | None:
        if store and not ADDRESS.fullmatch(store.split("::")[-1]):
            raise ValueError("a store is an address: s3://bucket/folder, gs://… or file:///folder")
        if store and PRIVATE & {part.split("://")[0].lower() for part in store.split("::")}:
            raise ValueError("a store must outlive its process; write s3://bucket/folder or file:///folder")
        return store or None

    @model_validator(mode="after")
    def _parts_share_a_folder(self) -> Self:
        if self.store and self.shards > 1:
            raise ValueError("shards need a folder that all nodes share; leave them at 1 with a store")
        return self


@dataclass(frozen=True)
class Share:
    """What one task gets: GPUs, cores and bytes of memory (None: no request)."""

    gpus: float
    cpus: float
    memory: int | None


OPTIONS = {"memory_gigabytes": "--memory-gb"}
"""Options that are not named like their field."""


def option_fields() -> dict[str, tuple[str, FieldInfo]]:
    """The fields that are options of `launch`: for each its option and the field."""
    fields = ClusterSettings.model_fields
    return {name: (OPTIONS.get(name, f"--{name.replace('_', '-')}"), field) for name, field in fields.items()}


def requested_cluster(
    on: str | None, options: Mapping[str, Any], before: ClusterSettings | None = None
) -> ClusterSettings | None:
    """The cluster that a launch requests, from where it shall run and the options that were given; None for
    this machine. Where no place is named it is as `before`.

    Raises `UserError` for another place, or settings of a cluster without one.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if on == "ray" or (on is None and before is not None):
        kept = before.model_dump(exclude_none=True) if before is not None else {}
        return validated(ClusterSettings, kept | given, "The cluster")
    if on not in (None, "local"):
        raise UserError(f"Unknown target '{on}'. Use --on local or --on ray.")
    if given:
        raise UserError(f"{', '.join(given)} are for a cluster. Add --on ray, or leave them away.")
    return None


def options_of(settings: ClusterSettings | None) -> list[str]:
    """The options of `launch` that request this."""
    if settings is None:
        return []
    fresh, options = ClusterSettings(), ["--on", "ray"]
    for name, (option, _) in option_fields().items():
        value = getattr(settings, name)
        if value != getattr(fresh, name):
            options += [option, value if isinstance(value, str) else f"{value:g}"]
    return options


def cluster_of(root: Path, experiment: str) -> ClusterSettings | None:
    """What an experiment requests of a cluster; None for one of this machine."""
    path = experiment_folder(root, experiment) / CLUSTER
    return validated(ClusterSettings, read_json(path), str(path)) if path.exists() else None


def set_cluster(root: Path, experiment: str, settings: ClusterSettings | None) -> None:
    """Make an experiment the cluster's, or this machine's. Raises `UserError` while a driver works on it."""
    if cluster_of(root, experiment) == settings:
        return
    if driver_of(root, experiment) is not None:
        raise UserError(
            f"'{experiment}' runs on a cluster. Stop it first: python -m core runs stop {experiment}"
        )
    path = experiment_folder(root, experiment) / CLUSTER
    if settings is None:
        path.unlink(missing_ok=True)
    else:
        write_json(path, settings.model_dump(mode="json"))


def check_ray() -> None:
    """Raise `UserError` where Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError("Ray is not installed here. Run: make setup")


def ensure_driver(root: Path, experiment: str) -> None:
    """Start the driver of an experiment in the background, unless one lives."""
    check_ray()
    folder = experiment_folder(root, experiment)
    with locked(folder / DRIVER_START_LOCK):
        if driver_of(root, experiment) is None:
            start_detached(["drive", experiment], root, folder / DRIVER_LOG)


def address_of(settings: ClusterSettings, environment: Mapping[str, str] = os.environ) -> str:
    """Where the cluster is; "local" means one on this machine that ends with the driver."""
    return settings.address or environment.get("RAY_ADDRESS") or LOCAL


def share_of(settings: ClusterSettings, nodes: Sequence[Mapping[str, Any]]) -> Share:
    """What a task gets, from what is requested and what the living nodes have (as `ray.nodes()` tells).

    A run gets a GPU where there are any, and of a node's cores as large a share as of its GPUs; without
    GPUs it gets all cores of the smallest node. Raises `UserError` where no node can ever give that.
    """
    has = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU")]
    with_gpus = [one for one in has if one.get("GPU")]
    gpus = settings.gpus if settings.gpus is not None else float(bool(with_gpus))
    fit = with_gpus if gpus else has
    shares = [one["CPU"] * (min(1.0, gpus / one["GPU"]) if gpus else 1.0) for one in fit]
    cpus = settings.cpus or float(max(1, math.floor(min(shares, default=1.0))))
    memory = None if settings.memory_gigabytes is None else int(settings.memory_gigabytes * GIGABYTE)
    wanted = {"GPU": gpus, "CPU": cpus, "memory": float(memory or 0)}
    if not any(all(one.get(name, 0) >= value for name, value in wanted.items()) for one in has):
        memory_words = f" and {settings.memory_gigabytes:g} GB of memory" if memory else ""
        raise UserError(
            f"No node of the cluster has {gpus:g} GPUs, {cpus:g} cores{memory_words}, so no run could begin."
            " Ask for less (--gpus, --cpus, --memory-gb), or add a node."
        )
    return Share(gpus, cpus, memory)
