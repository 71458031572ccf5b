"""Rotary positions that know column, row and section, in a stock model.

On a canvas of `side` rows, each written with `side` + 1 tokens, the place of a token is
section × S + row × (side + 1) + column with S = side × (side + 1). A rotary frequency of 2π k / (side + 1)
repeats after each row, so its angle tells columns apart and nothing else; one of 2π k / S repeats after each
section and tells rows apart; slow ones tell the sections. Qwen2 takes any frequencies as the factors of
`rope_type: longrope` (Ding et al. 2024), which transformers and vLLM read alike: no model code of our own.
"""

import math
from typing import Any

_BASE = 10_000.0
_SECTIONS = (1 / 4, 1 / 8)
"""Turns per section of the slow frequencies."""


def grid_frequencies(side: int, width: int) -> list[float]:
    """The width / 2 rotary frequencies of one head in radians per token: columns, rows, sections.

    Those of columns and rows are whole numbers of turns per row and per section, at most half a turn from one
    cell to the next, spread evenly over their logarithms.
    """
    slow = _SECTIONS[: max(1, width // 16)]
    columns = (width // 2 - len(slow)) // 2
    rows = width // 2 - len(slow) - columns
    stride, section = side + 1, side * (side + 1)
    turns = [
        *(number / stride for number in _harmonics(columns, stride // 2)),
        *(number / section for number in _harmonics(rows, side // 2)),
        *(share / section for share in slow),
    ]
    return [2 * math.pi * turn for turn in turns]


def _harmonics(count: int, most: int) -> list[int]:
    """`count` whole numbers from 1 to `most`, distinct where there are so many, denser where they are low."""
    most = max(1, most)
    if count >= most:
        return [1 + place % most for place in range(count)]
    spread = [most ** (place / max(1, count - 1)) for place in range(count)]
    found: list[int] = []
    for place, wanted in enumerate(spread):
        lowest = found[-1] + 1 if found else 1
        found.append(min(max(lowest, round(wanted)), most - (count - 1 - place)))
    return found


def grid_positions(side: int, width: int, context: int) -> dict[str, Any]:
    """The `rope_parameters` of a model whose heads are `width` wide, for up to `context` tokens.

    A factor divides the frequency base^(−2i / width) of its place i; both lists are the same, so the length
    of a sequence changes nothing.
    """
    frequencies = grid_frequencies(side, width)
    factors = [_BASE ** (-2 * place / width) / one for place, one in enumerate(frequencies)]
    return {
        "rope_type": "longrope",
        "rope_theta": _BASE,
        "short_factor": factors,
        "long_factor": factors,
        "original_max_position_embeddings": context,
        "factor": 1.0,
        "attention_factor": 1.0,
    }
