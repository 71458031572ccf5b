"""What can be chosen about a training."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from core.mixing.held_out import ValidationSettings
from core.settings import Settings
from core.training.loggers import Logger

MOST_STEPS = 10**9
MOST_TOKENS = 10**9
LONGEST = 2**24
"""Tokens of the longest sequence."""


class LoraSettings(Settings):
    """The low-rank adapter that is trained when the method is `lora`."""

    rank: int = Field(16, ge=1, le=512, description="Rank of the two factors.")
    alpha: float = Field(32.0, gt=0, le=1e6, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the first factor.")
    target_modules: tuple[str, ...] = Field(
        ("all-linear",),
        min_length=1,
        description="Names of the linear layers that get an adapter; all-linear: all inside the blocks.",
    )
    rslora: bool = Field(
        False, description="Scale the update by alpha / √rank instead, which keeps high ranks learning."
    )
    dora: bool = Field(
        False, description="Learn the length of each weight vector apart from its direction (DoRA); slower."
    )
    init: Literal["zero", "pissa", "olora"] = Field(
        "zero",
        description="Where the factors begin. zero: an update of nothing. pissa, olora: the principal"
        " directions of the weights, or a QR basis of them; saved as a plain adapter of twice the rank.",
    )
    four_bit: bool = Field(
        False,
        description="Keep the frozen weights in 4 bits, a quarter of the memory (bitsandbytes, NVIDIA GPU).",
    )

    @field_validator("target_modules", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _kinds_go_together(self) -> "LoraSettings":
        if self.init != "zero" and (self.dora or self.four_bit):
            raise ValueError(
                f"init {self.init} changes the weights, which goes with neither dora nor four_bit; use zero"
            )
        return self


class TrainingSettings(Settings):
    """One training, apart from its data and its seed."""

    method: Literal["full", "lora", "none"] = Field(
        "lora",
        description="Train all weights (full), an adapter (lora), or nothing (none): the base model is"
        " evaluated as it is.",
    )
    lora: LoraSettings = Field(LoraSettings(), description="The adapter, where the method is lora.")
    steps: int = Field(500, ge=1, le=MOST_STEPS, description="Optimizer steps.")
    seconds: float | None = Field(
        None,
        gt=0,
        le=10**9,
        description="Instead of steps: train for so long. The learning rate follows the time, so that it has"
        " decayed when time is over; what is trained then depends on the machine's speed.",
    )
    samples_per_step: int = Field(32, ge=1, le=10**6, description="Samples whose gradients make one step.")
    tokens_per_step: int | None = Field(
        None,
        ge=16,
        le=MOST_TOKENS,
        description="Instead of samples_per_step: as many samples as make at most so many tokens.",
    )
    max_seq_len: int = Field(
        2048,
        ge=16,
        le=LONGEST,
        description="Longest sample in tokens; prompt.too_long says what becomes of longer ones.",
    )
    tokens_per_batch: int | None = Field(
        None,
        ge=16,
        le=MOST_TOKENS,
        description="Most tokens, padding included, in one forward pass; lower it if memory ends. "
        "Empty: 2,048 on a CPU, whose caches they fit; on a GPU as many as fill 85 % of its free memory,"
        " at most 32,768. Where memory ends, a step is done anew with half of it.",
    )
    batching: Literal["auto", "packed", "padded"] = Field(
        "auto",
        description="packed: samples one after another in a row, blind to each other. padded: one below the"
        " other, grouped by length. auto: packed where the model allows it, else padded.",
    )
    compile: bool = Field(
        False,
        description="Compile the model's decoder, which takes a minute or two and pays in longer trainings on"
        " a GPU; rows are filled up to one length. Needs a C compiler.",
    )
    deterministic: bool = Field(
        False,
        description="Let a GPU add in one order only, so that a training repeats bit by bit there, too.",
    )
    recompute: bool = Field(
        False, description="Compute activations anew on the way back: less memory, about a third more work."
    )
    loss_on: Literal["answer", "outputs"] = Field(
        "answer",
        description="answer: the loss counts the test output. outputs: those of demonstrations 2… as well.",
    )
    learning_rate: float = Field(1e-3, gt=0, le=100, description="Highest learning rate.")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="adamw for all weights; or muon for the matrices inside the blocks, adamw for the rest.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="What activations are computed in: auto is bfloat16 on a GPU and on a CPU with"
        " instructions for it (AVX512-BF16, AMX), float32 on any other.",
    )
    schedule: Literal["constant", "linear", "cosine", "cosine_restarts", "cyclic", "wsd"] = Field(
        "cosine",
        description="How the learning rate goes from its highest value to final_share of it;"
        " cosine_restarts: again and again; cyclic: up and down again and again;"
        " wsd: it stays at the highest until the last decay_share of the steps.",
    )
    decay_share: float = Field(0.2, ge=0, le=1, description="Share of the steps that decay, under wsd.")
    cycles: int = Field(
        4, ge=1, le=10_000, description="How often cosine_restarts falls, or cyclic rises and falls."
    )
    warmup_share: float = Field(0.05, ge=0, le=1, description="Share of the steps that warms up.")
    final_share: float = Field(0.1, ge=0, le=1, description="Learning rate at the end, as a share.")
    weight_decay: float = Field(
        0.01, ge=0, le=100, description="Decay of matrices; biases and norms have none."
    )
    clip_norm: float = Field(1.0, gt=0, le=1e12, description="Largest norm of the gradient.")
    checkpoint_every: int = Field(100, ge=1, le=MOST_STEPS, description="Steps between two checkpoints.")
    devices: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="GPUs that share the training; empty: all that are visible. Without a GPU: processes.",
    )
    draw_processes: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Processes that draw samples ahead; empty: 4 where a GPU would wait for them, else none.",
    )
    validation: ValidationSettings = Field(
        ValidationSettings(), description="What is looked at while the training goes on."
    )
    log_to: tuple[Logger, ...] = Field(
        (), description="Also write the progress for tensorboard or wandb (Weights & Biases)."
    )
