"""Training: useful tokens per second, against TRL's `SFTTrainer` on the same samples and the same model.

Useful tokens are those of samples, padding not counted; on both sides all of them pass the model, and the
loss counts answers. Both train all weights of one embedded model on the CPU, with AdamW and the same number
of samples per step, and compute in bfloat16 where the processor has instructions for it, which makes the
peer faster, too. The rows for a GPU are measured where there is one.
"""

import importlib.util
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from core.bench.bench_context import Workshop
from core.bench.registry import Benchmark, Measured, Row
from core.errors import UserError
from core.storage.files import writing

if TYPE_CHECKING:
    from core.arc.tasks import Task

SAMPLES_PER_STEP = 16
STEPS = 6
WARM_STEPS = 1
LONGEST = 2048

PADDED = Row(
    "training on 2 cores, against a batch of one",
    "tokens/s",
    "Useful tokens per second of a full training of a model of 0.9 million weights.",
    peer="SFTTrainer, batch 1",
    wanted_ratio="> 2",
    more_is_better=True,
)
PACKED = Row(
    "training on 2 cores, against packing",
    "tokens/s",
    "The same, against the peer's best packed setting.",
    peer="SFTTrainer, packed",
    wanted_ratio="> 1.1",
    more_is_better=True,
)
LORA = Row(
    "training 0.5 B LoRA on a GPU",
    "tokens/s",
    "Useful tokens per second; random weights of Qwen2-0.5B's shape, rank 16, packed, bfloat16.",
    wanted="> 60000",
    peer="SFTTrainer, packed",
    wanted_ratio="> 1.3",
    more_is_better=True,
)
SCRATCH = Row(
    "training 10 M from scratch on a GPU",
    "tokens/s",
    "Useful tokens per second of a full training of a model of ten million weights.",
    wanted="> 1000000",
    more_is_better=True,
)


def training_of(base: Path, tasks: "Sequence[Task] | None" = None, **changes: Any) -> Any:
    """A training on these tasks, else on made-up ones of many sizes, like those of ARC."""
    from core.mixing.held_out import hold_out
    from core.mixing.mixtures import Mixture, MixtureSettings, SourceShare
    from core.prompts.templates import PromptSettings
    from core.settings import validated
    from core.training.loop import Training
    from core.training.settings import TrainingSettings

    values = {"steps": 1000, "samples_per_step": SAMPLES_PER_STEP, "max_seq_len": LONGEST, **changes}
    settings = validated(TrainingSettings, values, "bench")
    whole = Mixture(
        {"given": list(tasks or made_up_tasks())}, MixtureSettings(sources=(SourceShare(source="given"),)), 0
    )
    mixture, questions = hold_out(whole, settings.validation)
    return Training(settings, PromptSettings(), mixture, str(base), 0, questions)


def made_up_tasks() -> list[Any]:
    """Sixty tasks of random grids; sizes as unequal as ARC's (3 to 14 cells a side)."""
    from core.arc.tasks import parse_task
    from core.seeds import generator

    tasks = []
    for number in range(60):
        rng = generator(0, "bench", "task", number)
        sides = rng.integers(3, 15, 2)
        pairs = [
            {"input": rng.integers(0, 10, sides).tolist(), "output": rng.integers(0, 10, sides).tolist()}
            for _ in range(int(rng.integers(3, 5)))
        ]
        record = {"train": pairs[:-1], "test": pairs[-1:]}
        tasks.append(parse_task(record, task_id=f"{number:08x}", source="made-up"))
    return tasks


def our_speed(base: Path, **changes: Any) -> tuple[float, float | None]:
    """The median of useful tokens per second over steps after the first, and of the share of the peak."""
    from core.training.checkpoints import Position
    from core.training.loop import Loop

    loop, position = Loop.start(training_of(base, **changes)), Position()
    records = []
    try:
        for _ in range(WARM_STEPS + STEPS):
            record, position = loop.step(position)
            records.append(record)
    finally:
        loop.drawing.close()
    found = records[WARM_STEPS:]
    shares = [record["mfu"] for record in found if record["mfu"] is not None]
    return median(record["tokens_per_second"] for record in found), median(shares) if shares else None


@contextmanager
def without_gpu() -> Iterator[None]:
    """Inside, this process sees no GPU: rows about a CPU hold on machines with one, too."""
    import torch

    honest = torch.cuda.is_available
    torch.cuda.is_available = lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = honest


def peer_speed(
    base: Path,
    *,
    packed: bool,
    lora: bool = False,
    on_gpu: bool = False,
    samples: int = SAMPLES_PER_STEP,
    packing: str = "bfd",
) -> float | None:
    """Useful tokens per second of TRL's trainer on the same samples; None where it is not installed.

    Packed it fills rows of the longest sample's size, which is its best setting here; else it takes one
    sample at a time and adds the gradients up.
    """
    if importlib.util.find_spec("trl") is None or importlib.util.find_spec("datasets") is None:
        return None
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTTrainer

    from core.prompts.vocabulary import load_tokenizer
    from core.storage.models import load_model

    rows = _peer_rows(base, (WARM_STEPS + STEPS) * samples, packed=packed)
    tokens, clock = sum(len(row["input_ids"]) for row in rows), _clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=load_model(str(base), dtype=torch.bfloat16 if on_gpu and lora else torch.float32),
            args=_peer_settings(folder, len(rows), tokens, packing if packed else None, on_gpu=on_gpu),
            train_dataset=Dataset.from_list(rows),
            processing_class=load_tokenizer(str(base)),
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear") if lora else None,
            callbacks=[clock],
        )
        began = time.perf_counter()
        trainer.train()
    marks: list[float] = clock.marks
    if len(marks) < 2:
        return tokens / (marks[-1] - began)
    return tokens * (len(marks) - 1) / len(marks) / (marks[-1] - marks[0])


def _clock() -> Any:
    """A callback that keeps in `marks` when each of the peer's steps ends (seconds)."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.marks: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.marks.append(time.perf_counter())

    return Clock()


def _peer_rows(base: Path, count: int, *, packed: bool) -> list[dict[str, list[int]]]:
    """The first samples of our training, as the peer takes them."""
    from core.prompts.templates import training_sample
    from core.prompts.vocabulary import load_tokenizer

    training, tokenizer = training_of(base), load_tokenizer(str(base))
    drawn = (training_sample(training.mixture.sample(n), training.prompt, tokenizer) for n in range(count))
    return [_row(one, packed=packed) for one in drawn if len(one.tokens) <= LONGEST]


def _peer_settings(folder: str, samples: int, tokens: int, packing: str | None, *, on_gpu: bool) -> Any:
    """The peer's arguments: steps of as many samples as ours, in rows packed by a strategy, or alone."""
    from trl import SFTConfig

    from core.training.efficiency import has_fast_bfloat16

    packed, at_once = packing is not None, 8 if on_gpu else 1
    return SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=_accumulation(samples, tokens, packed=packed, at_once=at_once),
        num_train_epochs=1,
        max_length=LONGEST,
        packing=packed,
        packing_strategy=packing or "bfd",
        completion_only_loss=True,
        shuffle_dataset=False,
        learning_rate=1e-3,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        bf16=has_fast_bfloat16("cuda" if on_gpu else "cpu"),
        fp16=False,
        use_cpu=not on_gpu,
        gradient_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": not packed},
    )


def _row(sample: Any, *, packed: bool) -> dict[str, list[int]]:
    """A sample as the peer takes it: marked, to be packed; labelled, as it is."""
    if packed:
        return {"input_ids": sample.tokens, "completion_mask": list(map(int, sample.is_answer))}
    pairs = zip(sample.tokens, sample.is_answer, strict=True)
    return {"input_ids": sample.tokens, "labels": [token if counts else -100 for token, counts in pairs]}


def _accumulation(samples: int, tokens: int, *, packed: bool, at_once: int) -> int:
    """Passes of a step, each over so many rows: as many as hold the samples of one of our steps."""
    rows = tokens / LONGEST if packed else samples
    return max(1, round(rows / (WARM_STEPS + STEPS) / at_once))


def measure_cpu(workshop: Workshop) -> Iterator[Measured]:
    """In turns with the peer, so that a machine that is busy for a while slows both down alike."""
    base = embedded(workshop.folder, "small", {})
    ours, alone, packs = [], [], []
    for _ in range(min(3, workshop.repeats)):
        workshop.notify("training, and the peer's two ways")
        with without_gpu():
            ours.append(our_speed(base, method="full", devices=1)[0])
            alone.append(peer_speed(base, packed=False))
            packs.append(peer_speed(base, packed=True))
    yield from _against(PADDED, ours, alone)
    yield from _against(PACKED, ours, packs)


def _against(row: Row, ours: list[float], theirs: list[float | None]) -> Iterator[Measured]:
    known = [(mine, its) for mine, its in zip(ours, theirs, strict=True) if its is not None]
    if not known:
        yield Measured(row.name, median(ours))
        return
    ratio = median(mine / its for mine, its in known)
    yield Measured(row.name, median(ours), median(its for _, its in known), ratio)


def measure_gpu(workshop: Workshop) -> Iterator[Measured]:
    """On a GPU; without one nothing is measured."""
    import torch

    if not torch.cuda.is_available():
        workshop.notify("no GPU here: its training rows stay unmeasured")
        return
    half_billion = partial(embedded, workshop.folder, "half-billion")
    base = half_billion(
        {"hidden_size": 896, "layers": 24, "heads": 14, "mlp_size": 4864, "vocabulary": 151_936}
    )
    workshop.notify("0.5 B LoRA")
    speed, share = our_speed(base, method="lora", samples_per_step=128)
    workshop.notify(f"share of the peak: {share:.1%}" if share is not None else "the peak is not known")
    theirs = [
        peer_speed(base, packed=True, lora=True, on_gpu=True, samples=128, packing=packing)
        for packing in ("bfd", "wrapped")
    ]
    yield Measured(LORA.name, speed, max((one for one in theirs if one is not None), default=None))
    base = embedded(
        workshop.folder, "ten-million", {"hidden_size": 384, "layers": 6, "heads": 6, "mlp_size": 1024}
    )
    workshop.notify("10 M from scratch")
    yield Measured(SCRATCH.name, our_speed(base, method="full", samples_per_step=512)[0])


def embedded(folder: Path, name: str, shape: dict[str, int]) -> Path:
    """A model of a shape with random weights; a larger vocabulary than ours is filled up with unused rows."""
    from transformers import Qwen2ForCausalLM

    from core.prompts.vocabulary import embedded_tokenizer
    from core.training.models import ModelShape, init_model

    target = folder / "models" / name
    if target.exists():
        return target
    rows = shape.get("vocabulary")
    if rows is None:
        init_model(target, ModelShape(**shape), 0)
        return target
    from transformers import Qwen2Config

    config = Qwen2Config(
        vocab_size=rows,
        hidden_size=shape["hidden_size"],
        intermediate_size=shape["mlp_size"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=2,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
    )
    with writing(target) as temporary:
        Qwen2ForCausalLM(config).save_pretrained(temporary)
        embedded_tokenizer().save_pretrained(temporary)
        if not any(temporary.glob("*.safetensors")):
            raise UserError(f"{target} could not be written. Free some space and measure again.")
    return target


BENCHMARKS = (
    Benchmark("training", (PADDED, PACKED), measure_cpu),
    Benchmark("training on a GPU", (LORA, SCRATCH), measure_gpu),
)
