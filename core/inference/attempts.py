"""The attempts of an evaluation: which view of which test input is prompted.

The view of attempt j of test i of task t depends on (eval_seed, t, i, j) alone, under `keep_new` also on
the colours of t's demonstrations: adding tasks, resuming or sharding changes nothing. Symmetries
are balanced: each block of 8 views holds all 8 once. Where several samples look through each view, attempt j
looks through view j // samples_per_view.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from core.arc.tasks import Task
from core.arc.views import (
    IDENTITY_COLOURS,
    SYMMETRIES,
    View,
    draw_pair_order,
    draw_task_colours,
)
from core.inference.requests import Request
from core.inference.settings import InferenceSettings, Views
from core.seeds import generator


@dataclass(frozen=True)
class Attempt:
    """One question: a task with a single test pair, as its view shows it."""

    source: str
    task_id: str
    test_index: int
    number: int
    view: View
    task: Task

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Source, task, test and number: what no other attempt of the evaluation has."""
        return (self.source, self.task_id, self.test_index, self.number)


@dataclass(frozen=True)
class Question:
    """An attempt with its prompt; `request` is None where the prompt is longer than the context, or where
    there is none and `why_not` says why; `demonstrations` are fewer than the task's where the prompt was
    shortened."""

    attempt: Attempt
    prompt_tokens: int
    demonstrations: int
    request: Request | None
    why_not: str | None = None

    @property
    def is_shortened(self) -> bool:
        """Whether the prompt lost demonstrations to fit."""
        return self.demonstrations < len(self.attempt.task.train)


def plan_attempts(tasks: Iterable[Task], settings: InferenceSettings, eval_seed: int) -> Iterator[Attempt]:
    """All attempts of an evaluation, task by task."""
    for task in tasks:
        for test_index, test in enumerate(task.test):
            single = replace(task, test=(test,))
            for number in range(settings.attempts):
                place = number // settings.samples_per_view
                view = draw_view(settings.views, eval_seed, task, test_index, place)
                yield Attempt(task.source, task.task_id, test_index, number, view, view.apply(single))


def draw_view(views: Views, eval_seed: int, task: Task, test_index: int, number: int) -> View:
    """View `number` of a test input. Of the task only its id and its demonstrations matter."""
    key = (task.task_id, test_index)
    rng = generator(eval_seed, "view", *key, number)
    symmetry = 0
    if views.symmetries:
        block, place = divmod(number, SYMMETRIES)
        symmetry = int(generator(eval_seed, "symmetries", *key, block).permutation(SYMMETRIES)[place])
    colours = draw_task_colours(rng, task, views.colours) or IDENTITY_COLOURS
    order = draw_pair_order(rng, len(task.train)) if views.pair_order else None
    return View(symmetry, colours, order)
