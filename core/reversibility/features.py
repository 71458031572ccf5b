"""What speaks for and against turning a task around: one number per feature, each with its words.

A task can be reversed where its outputs hold what is needed to rebuild its inputs. Each feature measures
one way in which information is kept or lost; all lie between about −1 and 1 and are 0 where they say
nothing, so that a weight tells at once how much a feature can move a judgement.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.arc.grids import COLOURS, Grid
from core.arc.tasks import Task
from core.reversibility.information import (
    Pairs,
    compressed,
    conditional_entropy,
    contains,
    edges,
    shape_of,
    told_by_neighbours,
)

MOST_PAIRS = 12  # of a pool: more would not change the picture


@dataclass(frozen=True)
class Feature:
    """A feature's name, how it is measured, what a high or a low value means in words, and its prior
    weight in a logistic model (the change of the log odds from 0 to 1)."""

    name: str
    measure: Callable[[Pairs], float]
    prior: float
    high: str
    low: str = ""


def known_pairs(task: Task) -> Pairs:
    """The pairs of a task that features look at."""
    return Pairs([(p.input, p.output) for p in task.pairs if p.output is not None][:MOST_PAIRS])


def features_of(task: Task) -> npt.NDArray[np.float64]:
    """The values of all `FEATURES`, in their order; zeros for a task without a known output."""
    pairs = known_pairs(task)
    if not pairs:
        return np.zeros(len(FEATURES))
    return np.array([feature.measure(pairs) for feature in FEATURES])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _same_output(pairs: Pairs) -> float:
    """1 where two different inputs have the same output."""
    seen: dict[bytes, bytes] = {}
    for source, target in pairs:
        before = seen.setdefault(_exact(target), _exact(source))
        if before != _exact(source):
            return 1.0
    return 0.0


def _exact(grid: Grid) -> bytes:
    return bytes(grid.shape) + grid.tobytes()


def _shrinking(pairs: Pairs) -> float:
    """How much smaller outputs are: log2 of the ratio of areas over 4, at most 1; 0 where not smaller."""
    return _mean([min(1.0, max(0.0, math.log2(a.size / b.size) / 4)) for a, b in pairs])


def _growing(pairs: Pairs) -> float:
    """How much larger outputs are, in the same measure."""
    return _shrinking(pairs.reversed())


def _few_cells(pairs: Pairs) -> float:
    """Share of pairs whose output has at most 9 cells and is smaller than the input."""
    return _mean([float(b.size <= 9 and b.size < a.size) for a, b in pairs])


def _lost_colours(pairs: Pairs) -> float:
    """Colours of the input that its output lacks, per pair, over 3. A colour is left out where it is in
    every input and no output, so that one could know that it is missing, and where others always stand
    for it."""
    lost = [set(a.flat) - set(b.flat) for a, b in pairs]
    always = set.intersection(*lost)
    counts = pairs.colours
    usual = counts.argmax(axis=0)
    replaced = {
        colour
        for colour in range(COLOURS)
        if counts[colour].any() and all(usual[new] == colour for new in np.flatnonzero(counts[colour]))
    }
    return min(1.0, _mean([len(colours - always - replaced) for colours in lost]) / 3)


def _new_colours(pairs: Pairs) -> float:
    """Share of pairs whose output has a colour that the input lacks."""
    return _mean([float(bool(set(b.flat) - set(a.flat))) for a, b in pairs])


def _kept_complexity(pairs: Pairs) -> float:
    """log2 of the compressed size of all outputs over that of all inputs, halved, within −1 and 1."""
    before = compressed([a for a, _ in pairs])
    after = compressed([b for _, b in pairs])
    return max(-1.0, min(1.0, math.log2(after / before) / 2))


def _unexplained(pairs: Pairs) -> float:
    """Share of the inputs' compressed size that knowing the outputs does not save."""
    inputs, outputs = [a for a, _ in pairs], [b for _, b in pairs]
    both = [grid for pair in pairs for grid in reversed(pair)]
    alone = compressed(inputs)
    return max(0.0, min(1.0, (compressed(both) - compressed(outputs)) / alone))


def _same_size(pairs: Pairs) -> float:
    """Share of pairs with outputs as large as their inputs."""
    return _mean([float(a.shape == b.shape) for a, b in pairs])


def _cell_entropy(pairs: Pairs) -> float:
    """Bits per cell that the output's colour leaves open about the input's, at most 1."""
    return min(1.0, conditional_entropy(pairs.colours))


def _one_way(pairs: Pairs) -> float:
    """How much more the input says about the output, cell by cell, than the other way round: bits per
    cell within −1 and 1. Above 0, cells that differ in the input become alike."""
    counts = pairs.colours
    return max(-1.0, min(1.0, conditional_entropy(counts) - conditional_entropy(counts.T)))


def _unguessable(pairs: Pairs) -> float:
    """Share of the changed cells whose old colour is not the usual one under their new colour."""
    counts = pairs.colours
    changed = counts.sum() - np.trace(counts)
    if not changed:
        return 0.0
    usual = counts.argmax(axis=0)
    guessed = sum(int(counts[usual[new], new]) for new in range(COLOURS) if usual[new] != new)
    return float(1 - guessed / changed)


def _erased(pairs: Pairs) -> float:
    """Share of the changed cells that turn into the output's commonest colour."""
    changed = erased = 0
    for a, b in pairs:
        if a.shape == b.shape:
            ground = int(np.bincount(b.ravel(), minlength=COLOURS).argmax())
            changed += int((a != b).sum())
            erased += int(((a != b) & (b == ground)).sum())
    return erased / changed if changed else 0.0


def _rearranged(pairs: Pairs) -> float:
    """Share of pairs whose output has exactly the cells of the input, in other places."""
    return _mean([float(Counter(a.flat) == Counter(b.flat)) for a, b in pairs])


def _cut_out(pairs: Pairs) -> float:
    """Share of pairs whose output is a part of the input."""
    return _mean([float(a.size > b.size and contains(a, b)) for a, b in pairs])


def _input_inside(pairs: Pairs) -> float:
    """Share of pairs whose larger output holds the input as it is."""
    return _cut_out(pairs.reversed())


def _fewer_objects(pairs: Pairs) -> float:
    """log2 of the number of objects in the input over that in the output, over 3, within −1 and 1."""
    ratios = [math.log2((len(before) + 1) / (len(after) + 1)) / 3 for before, after in pairs.objects]
    return max(-1.0, min(1.0, _mean(ratios)))


def _moved(pairs: Pairs) -> float:
    """Share of the input's objects that stand elsewhere in an output of the same size."""
    moved = total = 0
    for (a, b), (before, after) in zip(pairs, pairs.objects, strict=True):
        if a.shape == b.shape:
            still = set(after)
            shapes = {(colour, shape_of(places)) for colour, places in after}
            total += len(before)
            moved += sum(one not in still and (one[0], shape_of(one[1])) in shapes for one in before)
    return moved / total if total else 0.0


def _kept_edges(pairs: Pairs) -> float:
    """log2 of the number of edges in the output over that in the input, over 3, within −1 and 1."""
    ratios = [math.log2((edges(b) + 1) / (edges(a) + 1)) / 3 for a, b in pairs]
    return max(-1.0, min(1.0, _mean(ratios)))


def _guessed_size(pairs: Pairs) -> float:
    """1 where the input's size follows from the output: equal, one size for all, or one ratio."""
    differences = {(a.shape[0] - b.shape[0], a.shape[1] - b.shape[1]) for a, b in pairs}
    ratios = {(a.shape[0] / b.shape[0], a.shape[1] / b.shape[1]) for a, b in pairs}
    return float(min(len(differences), len(ratios), len({a.shape for a, _ in pairs})) == 1)


# The prior weights are reasoned, not fitted: what proves that information is lost (two inputs with one
# output) weighs more than all hints together; the best measures of information (what survives compression,
# growing and shrinking) weigh 2 to 3, other losses 1 to 2, mere hints 0.5 to 1. The intercept makes up for
# `unexplained`, which is about 0.65 for an ordinary task because small grids compress badly.
FEATURES = (
    Feature("same output", _same_output, -5.0, "two different inputs have the same output"),
    Feature("smaller", _shrinking, -2.5, "the output is smaller, so information is lost"),
    Feature("larger", _growing, 3.0, "the output is larger than the input"),
    Feature("few cells", _few_cells, -1.0, "the output is only a few cells"),
    Feature("lost colours", _lost_colours, -1.5, "colours vanish, and not always the same ones"),
    Feature("new colours", _new_colours, 0.5, "the output adds a colour that marks what was done"),
    Feature(
        "kept complexity",
        _kept_complexity,
        3.0,
        "the output holds more detail than the input",
        "the output holds less detail than the input",
    ),
    Feature("unexplained", _unexplained, -1.5, "little of the input can be told from the output"),
    Feature("same size", _same_size, 0.5, "input and output have the same size"),
    Feature("cell entropy", _cell_entropy, -1.5, "a cell's new colour leaves its old colour open"),
    Feature(
        "one way",
        _one_way,
        -2.0,
        "cells that differ in the input become alike",
        "cells that are alike in the input become different",
    ),
    Feature("unguessable", _unguessable, -1.0, "the old colour of changed cells can't be guessed"),
    Feature("told", told_by_neighbours, 1.0, "the old colour of changed cells shows in what surrounds them"),
    Feature("erased", _erased, -1.0, "what changes is mostly erased"),
    Feature("rearranged", _rearranged, 1.0, "the same cells, only in other places"),
    Feature("cut out", _cut_out, -1.0, "the output is a part cut out of the input"),
    Feature("input inside", _input_inside, 1.0, "the output still holds the whole input"),
    Feature(
        "fewer objects",
        _fewer_objects,
        -1.5,
        "the output has fewer objects than the input",
        "the output has more objects than the input",
    ),
    Feature("moved", _moved, -1.0, "objects move, and where they were is lost"),
    Feature(
        "kept edges",
        _kept_edges,
        1.0,
        "the output has more borders between colours",
        "the output has fewer borders between colours",
    ),
    Feature("guessed size", _guessed_size, 0.5, "the input's size follows from the output"),
)
PRIOR_INTERCEPT = 1.0
