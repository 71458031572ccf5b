"""Grids as pictures: one pixel per cell in a palette PNG, enlarged by the browser without smoothing.

A picture of a 30 × 30 grid takes about 300 bytes and 20 µs; lines between cells and the size label
are laid over it by CSS. Pages show the HTML with `st.html`, which drops <svg> but keeps data addresses.
"""

import base64
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.arc.grids import ARC_COLOURS, Grid
from core.arc.tasks import Pair, Task

STRIP_HEIGHT = 120
_LARGEST_CELL = 22
_SMALLEST_LINED_CELL = 5
_SIGNATURE = b"\x89PNG\r\n\x1a\n"

STYLE = """<style>
.arc-strip { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: center; }
.arc-pair { display: flex; align-items: center; gap: 8px; }
.arc-pair.arc-test { border-left: 2px solid rgba(128, 128, 128, 0.45); padding-left: 14px; }
.arc-grid { margin: 0; }
.arc-cells { position: relative; outline: 1px solid rgba(128, 128, 128, 0.6); }
.arc-cells img {
  display: block; width: 100%; height: 100%; max-width: none; border-radius: 0; image-rendering: pixelated;
}
.arc-lines {
  position: absolute; inset: 0;
  background-image: linear-gradient(to right, rgba(128, 128, 128, 0.55) 1px, transparent 1px),
    linear-gradient(to bottom, rgba(128, 128, 128, 0.55) 1px, transparent 1px);
  background-size: var(--cell) var(--cell);
}
.arc-label { text-align: center; font-size: 0.72rem; opacity: 0.65; font-variant-numeric: tabular-nums; }
.arc-hidden { display: grid; place-items: center; border: 1px dashed rgba(128, 128, 128, 0.6); opacity: 0.6; }
</style>"""


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_PALETTE = _chunk(b"PLTE", bytes.fromhex("".join(colour[1:] for colour in ARC_COLOURS)))
_MASK = _chunk(b"PLTE", bytes((128, 128, 128, 213, 94, 0))) + _chunk(b"tRNS", bytes((36, 255)))
_END = _chunk(b"IEND", b"")


def grid_png(grid: Grid) -> bytes:
    """The grid as a PNG of width × height pixels."""
    return _png(grid, _PALETTE)


def _png(places: npt.NDArray[np.uint8] | npt.NDArray[np.bool_], palette: bytes) -> bytes:
    """A picture with eight bits of palette for each pixel (PNG specification, §11)."""
    height, width = places.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # each line begins with its filter, 0: none
    lines[:, 1:] = places
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    pixels = zlib.compress(lines.tobytes(), 1)
    return _SIGNATURE + _chunk(b"IHDR", header) + palette + _chunk(b"IDAT", pixels) + _END


def grid_address(grid: Grid) -> str:
    """The picture as a data address, for <img> and for image columns of tables."""
    return _address(grid_png(grid))


def mask_address(wrong: npt.NDArray[np.bool_]) -> str:
    """A picture of which cells differ from the truth: vermilion where they do, pale where they don't."""
    return _address(_png(wrong, _MASK))


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def grid_html(grid: Grid | None, cell: float, *, label: bool = True) -> str:
    """One grid with `cell` CSS pixels per cell and its size below; None is a hidden output.

    Needs `STYLE` once on the page.
    """
    if grid is None:
        side = round(3 * cell)
        return f'<div class="arc-hidden" style="width:{side}px;height:{side}px">?</div>'
    height, width = grid.shape
    size = f"width:{width * cell:g}px;height:{height * cell:g}px;--cell:{cell:g}px"
    lines = '<div class="arc-lines"></div>' if cell >= _SMALLEST_LINED_CELL else ""
    caption = f'<div class="arc-label">{width}×{height}</div>' if label else ""
    return (
        f'<figure class="arc-grid"><div class="arc-cells" style="{size}">'
        f'<img alt="grid {width}×{height}" src="{grid_address(grid)}">{lines}</div>{caption}</figure>'
    )


def task_html(task: Task, *, height: int = STRIP_HEIGHT) -> str:
    """A whole task in a row: demonstrations, then tests behind a line; for `st.html`.

    All grids share one cell size, so that the tallest takes `height` CSS pixels.
    """
    cell = cell_size(task.pairs, height)
    strips = [_pair_html(pair, "arc-pair", cell) for pair in task.train]
    strips += [_pair_html(pair, "arc-pair arc-test", cell) for pair in task.test]
    return f'{STYLE}<div class="arc-strip">{"".join(strips)}</div>'


def cell_size(pairs: Sequence[Pair], height: int) -> int:
    """The largest whole cell size at which the tallest grid takes at most `height` pixels (at least 2)."""
    grids = [grid for pair in pairs for grid in (pair.input, pair.output) if grid is not None]
    tallest = max((grid.shape[0] for grid in grids), default=1)
    return max(2, min(_LARGEST_CELL, height // tallest))


def _pair_html(pair: Pair, kind: str, cell: int) -> str:
    grids = [grid_html(grid, cell) for grid in (pair.input, pair.output)]
    return f'<div class="{kind}">{"<span>→</span>".join(grids)}</div>'


def icon() -> Image.Image:
    """The picture in the browser's tab: a grid of four colours, and the same turned."""
    picture = Image.open(io.BytesIO(grid_png(np.array([[1, 3], [4, 2]], dtype=np.uint8))))
    return picture.resize((32, 32), Image.Resampling.NEAREST)
