"""The grammar of answers: every grid that an encoding can write, and nothing else.

It is EBNF as xgrammar reads it (Dong et al. 2024), which vLLM and the transformers engine both use to forbid
tokens that no grid continues with. Reading is strict in the same way: `text_to_grid` accepts exactly
what the grammar derives.
"""

import functools
from collections.abc import Iterator

from core.arc.grids import MAX_SIDE
from core.prompts.encoders import GridEncoding

_SIDES = range(1, MAX_SIDE + 1)


@functools.lru_cache(maxsize=8)
def grid_grammar(encoding: GridEncoding) -> str:
    """EBNF of all grids of 1–30 × 1–30 cells in this encoding; its first rule is `root`."""
    sides = range(1, (encoding.canvas or MAX_SIDE) + 1)
    rules = _with_header(encoding) if encoding.shape_header else _without_header(encoding, sides)
    rows = (f"row{width} ::= {_row(width, encoding)}" for width in sides)
    return "\n".join([*rules, *rows])


def _row(width: int, encoding: GridEncoding) -> str:
    if encoding.cell_separator == "none" or width == 1:
        return f"[0-9]{{{width}}}"
    return f'[0-9] (" " [0-9]){{{width - 1}}}'


def _line(width: int, number: int, encoding: GridEncoding) -> str:
    return f'"{number} " row{width}' if encoding.row_numbers else f"row{width}"


def _without_header(encoding: GridEncoding, sides: range) -> Iterator[str]:
    """Rows of one width follow each other until the answer ends."""
    yield "root ::= " + " | ".join(f"from{width}x1" for width in sides)
    for width in sides:
        end = "\\n" * (1 if encoding.canvas is None else encoding.canvas + 1 - width)
        for number in sides:
            line = _line(width, number, encoding)
            more = f' ("{end}" from{width}x{number + 1})?' if number < sides[-1] else ""
            yield f"from{width}x{number} ::= {line}{more}"


def _with_header(encoding: GridEncoding) -> Iterator[str]:
    """The header says how many rows follow; grids of one width share their first rows."""
    sizes = [(height, width) for height in _SIDES for width in _SIDES]
    yield "root ::= " + " | ".join(f'"{height}x{width}\\n" grid{height}x{width}' for height, width in sizes)
    for height, width in sizes:
        above = f'grid{height - 1}x{width} "\\n" ' if height > 1 else ""
        yield f"grid{height}x{width} ::= {above}{_line(width, height, encoding)}"
