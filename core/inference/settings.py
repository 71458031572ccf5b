"""What can be chosen about inference."""

from typing import Literal

from pydantic import Field, model_validator

from core.arc.views import ColourRule
from core.settings import Settings


class Views(Settings):
    """Which transformations the attempts look through."""

    symmetries: bool = Field(True, description="Draw one of the 8 symmetries, balanced over attempts.")
    colours: ColourRule = Field(
        "keep_black",
        description="Permute no colours, all but black, or all ten. keep_new: all but black and those that a"
        " demonstration's output shows and its input does not.",
    )
    pair_order: bool = Field(True, description="Draw the order of the demonstrations.")


class SearchSettings(Settings):
    """Every answer above a probability, instead of attempts."""

    min_probability: float = Field(
        0.1,
        ge=0.01,
        le=1,
        description="Find the answers that the model gives at least this probability, in each view.",
    )
    most_requests: int = Field(
        64, ge=1, le=100_000, description="So many branches are followed in each view, the likeliest first."
    )


class InferenceSettings(Settings):
    """One evaluation, apart from its tasks and its seed."""

    engine: Literal["vllm", "transformers"] = Field("vllm", description="The library that generates.")
    attempts: int = Field(8, ge=1, le=4096, description="Attempts for each test output.")
    views: Views = Field(Views(), description="How the attempts look at a task.")
    samples_per_view: int = Field(
        1, ge=1, le=4096, description="So many attempts look through each view; needs a temperature."
    )
    search: SearchSettings | None = Field(
        None,
        description="Find all answers above a probability by depth-first search, each attempt being a view"
        " that is searched; empty: one answer for each attempt.",
    )
    temperature: float = Field(0.0, ge=0, le=5, description="0 is greedy.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Nucleus of the sampling, where temperature is above 0."
    )
    only_grids: bool = Field(
        False, description="Allow only tokens that some grid continues with, by a grammar of grids."
    )
    max_model_len: int = Field(2048, ge=32, le=2**24, description="Prompt and answer together, in tokens.")
    max_output_tokens: int | None = Field(
        None, ge=1, le=2**24, description="Longest answer in tokens; empty: as long as a 30 × 30 grid."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="What the model is computed in. auto: float32 on a CPU, bfloat16 on a GPU, where vllm"
        " keeps weights that are saved in float16 as they are. bfloat16 pays on CPUs with amx_bf16.",
    )
    max_concurrent: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Sequences that are generated at the same time. Empty: 64, and with vllm on a GPU as many"
        " as it chooses for the card.",
    )
    kv_cache_gigabytes: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="Memory for keys and values (vllm). Empty: 1 on a CPU, on a GPU what gpu_memory_share"
        " leaves.",
    )
    gpu_memory_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of a GPU's memory that vllm takes for weights, keys and values; empty: its own"
        " choice.",
    )
    deterministic: bool = Field(
        False,
        description="Let vllm on a GPU answer the same whatever else is in its batch; slower.",
    )

    @property
    def at_once(self) -> int:
        """Sequences at the same time where no engine chooses."""
        return self.max_concurrent or 64

    @model_validator(mode="after")
    def _samples_differ(self) -> "InferenceSettings":
        if self.samples_per_view > 1 and not self.temperature:
            raise ValueError("several samples per view are all the same at temperature 0; raise it")
        if self.search is not None and (self.temperature or self.only_grids):
            raise ValueError("search takes tokens by their probability; leave out temperature and only_grids")
        return self
