"""One training by several processes of one machine: one for each GPU, or, to share a CPU, as many as wished.

Every process draws the same step, takes its share of the batches, and adds its gradients to those of the
others, so all take the same step and hold the same weights; the first one alone reports and saves. They
find each other through a file and talk over the loopback interface, so nothing listens to the network. Where
one ends badly all are ended at once: the others would wait for it.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Report = Callable[[dict[str, Any]], None]

MEETING = "ARC_WORKERS_MEET_AT"
SECONDS_BETWEEN_LOOKS = 0.2
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Workers:
    """This process among those that share a training; alone where `accelerator` is None."""

    rank: int = 0
    count: int = 1
    accelerator: Any = None
    talk: Any = None
    """A group of the same processes that passes objects between processors, beside the work of the GPUs."""

    @property
    def is_first(self) -> bool:
        """Whether this process reports and saves for all."""
        return self.rank == 0

    def share(self, parts: Sequence[T]) -> list[T]:
        """The parts that this process works on: every `count`-th."""
        return list(parts[self.rank :: self.count])

    def add(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.accelerator is None:
            return value
        import torch

        number = torch.tensor(value, dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(number, "sum"))

    def add_gradients(self, weights: "Iterable[torch.nn.Parameter]") -> None:
        """Let every process hold the sum of all gradients; a weight without one in this process counts 0."""
        if self.accelerator is None:
            return
        import torch

        trained = list(weights)
        flat = torch.cat(
            [(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in trained]
        )
        summed = self.accelerator.reduce(flat, "sum").split([one.numel() for one in trained])
        for one, gradient in zip(trained, summed, strict=True):
            one.grad = gradient.view_as(one)

    def gather(self, mine: T) -> list[T]:
        """What all processes hand in, in their order."""
        if self.accelerator is None:
            return [mine]
        import torch

        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, mine, group=self.talk)
        return found

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()


def join_workers() -> Workers:
    """This process's place, as its environment says; alone where it was not started by `share_work`."""
    meeting = os.environ.get(MEETING)
    if meeting is None:
        return Workers()
    import torch
    from accelerate import Accelerator

    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=count,
        timeout=_PATIENCE,
    )
    talk = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return Workers(rank, count, Accelerator(cpu=not on_gpu), talk)


def wanted_workers(devices: int | None) -> int:
    """How many processes a training gets: `devices`, or else all GPUs that are visible. Raises `UserError`
    where there are fewer."""
    import torch

    gpus = torch.cuda.device_count()
    if devices is not None and gpus and devices > gpus:
        raise UserError(f"{devices} GPUs are wanted, but {gpus} are visible. Lower training.devices.")
    return devices or max(1, gpus)


def share_work(command: list[str], count: int, report: Report) -> None:
    """Run a Python command in `count` processes until all are done; the first one's records are reported.

    It writes them with `tell`. Raises `UserError` with the sentence that a process ended with, or where
    one ended otherwise than well; the others are ended then.
    """
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        processes = []
        for rank in range(count):
            place = {
                MEETING: str(Path(folder) / "meeting"),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "GLOO_SOCKET_IFNAME": "lo",
                "NCCL_SOCKET_IFNAME": "lo",
                "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
                "ARC_WORKERS_TELL": str(writing),
            }
            processes.append(
                subprocess.Popen([sys.executable, *command], env={**os.environ, **place}, pass_fds=(writing,))
            )
        os.close(writing)
        try:
            _listen(reading, report, processes)
            codes = _ended(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    if any(codes.values()):
        listed = ", ".join(f"{code} (process {rank})" for rank, code in codes.items() if code)
        raise UserError(
            f"Of the {count} processes that share the training some ended badly, with code {listed}, and the"
            " others were ended. The log says why; launch again, or set training.devices to 1."
        )


def _ended(processes: "Sequence[subprocess.Popen[bytes]]") -> dict[int, int]:
    """The codes of those that have ended: all of them, or some as soon as one of them ended badly."""
    while True:
        codes = {rank: code for rank, one in enumerate(processes) if (code := one.poll()) is not None}
        if len(codes) == len(processes) or any(codes.values()):
            return codes
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _listen(reading: int, report: Report, processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Report records until all processes have closed their end, or one ended badly; the sentence of one of
    them is raised."""
    rest, open_end = b"", True
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while open_end:
            ready, _, _ = select.select([pipe], [], [], SECONDS_BETWEEN_LOOKS)
            if not ready:
                if any(process.poll() for process in processes):
                    return
                continue
            data = pipe.read(2**16)
            open_end = bool(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                record = json.loads(line)
                if "error" in record:
                    raise UserError(record["error"])
                report(record)


def send_record(record: dict[str, Any]) -> None:
    """Hand a record to the process that shares the work out."""
    data = json.dumps(record).encode() + b"\n"
    os.write(int(os.environ["ARC_WORKERS_TELL"]), data)
