"""Adapters on a CPU: the same as two products of matrices for each row alone, and no more than that."""

import pytest
import torch

from core.inference.vllm_cpu_adapters import add_update, multiplier, rows_by_adapter

INPUTS, RANK, WIDTHS = 5, 3, (4, 2)


def test_rows_are_found_by_their_adapters() -> None:
    def found(*places: int) -> list[tuple[int, list[int] | None]]:
        return [
            (place, None if rows is None else rows.tolist())
            for place, rows in rows_by_adapter(torch.tensor(places))
        ]

    assert found(1, 1, 1) == [(1, None)]
    assert found(0, 2, 0, -1) == [(0, [0, 2]), (2, [1])]
    assert found(-1, -1) == []


@pytest.mark.parametrize("rows", [None, torch.tensor([0, 3])])
def test_an_update_is_added_to_its_rows_alone(rows: torch.Tensor | None) -> None:
    draw = torch.Generator().manual_seed(0)
    given, first, second, before = (
        torch.randn(shape, generator=draw) for shape in ((4, INPUTS), (RANK, INPUTS), (7, RANK), (4, 7))
    )
    output = before.clone()
    add_update(output, rows, given, first, second, 0.5)
    for row in range(4):
        adapted = rows is None or row in rows.tolist()
        update = 0.5 * second @ (first @ given[row]) if adapted else torch.zeros(7)
        assert torch.allclose(output[row] - before[row], update, atol=1e-5)


@pytest.mark.engine
def test_vllm_is_given_every_row_with_its_adapter() -> None:
    """Tokens of three prompts: adapter 7's, none's, adapter 9's; two slices of outputs, as of one layer."""
    pytest.importorskip("vllm")
    from vllm.lora.layers import LoRAMapping

    draw = torch.Generator().manual_seed(0)
    firsts = tuple(torch.randn(2, 1, RANK, INPUTS, generator=draw) for _ in WIDTHS)
    seconds = tuple(torch.randn(2, 1, width, RANK, generator=draw) for width in WIDTHS)
    given, before = torch.randn(6, INPUTS, generator=draw), torch.randn(6, sum(WIDTHS), generator=draw)
    asked = multiplier(max_num_batched_tokens=16, max_batches=4, device="cpu")
    for is_prefill in (True, False):
        mapping = LoRAMapping((9, 9, 0, 7, 7, 9), (9, 0, 7, 9), is_prefill=is_prefill)
        asked.update_metadata(mapping, [7, 9], 2, 32)
        output = before.clone()
        asked.add_lora_linear(output, given, firsts, seconds, 1.0, WIDTHS)
        for row, place in enumerate((1, 1, None, 0, 0, 1)):
            update = torch.zeros(sum(WIDTHS))
            if place is not None:
                update = torch.cat(
                    [b[place, 0] @ a[place, 0] @ given[row] for a, b in zip(firsts, seconds, strict=True)]
                )
            assert torch.allclose(output[row], before[row] + update, atol=1e-5)
