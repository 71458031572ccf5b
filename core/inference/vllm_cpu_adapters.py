"""Adapters in vLLM on a CPU: an adapter's factors are multiplied once, with all rows of a batch that ask it.

vLLM's own kernels for CPUs copy both factors of an adapter once for every token of a batch, which costs
several times what the model itself costs. Requests come adapter by adapter here, so nearly every batch asks
a single adapter, and two products of matrices do. vLLM asks its platform for the name of what multiplies; on
a CPU it is given `multiplier` of this module.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def multiply_by_adapter() -> None:
    """Let engines that are opened from now on, in this process and on a CPU, multiply as described above."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        kind: Any = type(current_platform)
        kind.get_punica_wrapper = classmethod(lambda _: f"{__name__}.{multiplier.__name__}")


def rows_by_adapter(adapters: "torch.Tensor") -> list[tuple[int, "torch.Tensor | None"]]:
    """For each adapter that rows of a batch ask, by its place, those rows; None stands for all of them.

    `adapters` holds a place for each row, -1 where no adapter is asked.
    """
    import torch

    places = torch.unique(adapters).tolist()
    if len(places) == 1 and places[0] >= 0:
        return [(places[0], None)]
    return [(place, (adapters == place).nonzero()[:, 0]) for place in places if place >= 0]


def add_update(
    output: "torch.Tensor",
    rows: "torch.Tensor | None",
    given: "torch.Tensor",
    first: "torch.Tensor",
    second: "torch.Tensor",
    scale: float = 1.0,
) -> None:
    """Add what one adapter adds to a layer: rows of `given` (rows, inputs) by `first` (rank, inputs) and
    `second` (outputs, rank), onto the same rows of `output` (rows, outputs), in place."""
    if rows is None:
        output.addmm_(given @ first.T, second.T, alpha=scale)
    else:
        output.index_add_(0, rows, given[rows] @ first.T @ second.T, alpha=scale)


def multiplier(*options: Any, **named: Any) -> Any:
    """What vLLM asks for: an object that knows which row of a batch asks which adapter, and adds updates."""
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    class Multiplier(PunicaWrapperCPU):
        """vLLM's own, with another way to adapt linear layers."""

        def update_metadata(self, *details: Any, **more: Any) -> None:
            super().update_metadata(*details, **more)
            self._rows = rows_by_adapter(self.token_lora_indices)

        def add_lora_linear(
            self,
            y: "torch.Tensor",
            x: "torch.Tensor",
            lora_a_stacked: tuple["torch.Tensor", ...],
            lora_b_stacked: tuple["torch.Tensor", ...],
            scale: float,
            output_slices: tuple[int, ...],
            **_: Any,
        ) -> None:
            """The factors are of shape (places, 1, rank, inputs) and (places, 1, outputs, rank), one each for
            every slice of the outputs (as queries, keys and values are)."""
            start = 0
            for first, second, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                part = y[:, start : start + width]
                for place, rows in self._rows:
                    add_update(part, rows, x, first[place, 0], second[place, 0], scale)
                start += width

    return Multiplier(*options, **named)
