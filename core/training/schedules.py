"""The learning rate as a pure function of the step, or of the time, so that a resumed training needs no state
for it."""

import math

from core.training.settings import TrainingSettings

_PARTS_OF_TIME = 10_000


def learning_rate_at(step: int, settings: TrainingSettings) -> float:
    """The learning rate of step 0 … steps − 1.

    Linear warm-up to the highest rate over `warmup_share` of the steps, then as the schedule says, between
    the highest rate and `final_share` of it: `constant`; `linear` or half a cosine down to the last step;
    half a cosine `cycles` times (Loshchilov & Hutter 2017); `cycles` triangles up and down (Smith 2017);
    `wsd` (Hu et al. 2024) stays at the highest rate until the last `decay_share` of all steps, in which it
    falls linearly: until then it is the same training for any larger number of steps.
    """
    warmup = round(settings.warmup_share * settings.steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    height = _height(step - warmup, settings.steps - warmup, settings)
    return settings.learning_rate * (settings.final_share + (1 - settings.final_share) * height)


def learning_rate_in_time(seconds: float, per_step: float, settings: TrainingSettings) -> float:
    """The learning rate of a step that begins after so many seconds, under a budget of `settings.seconds`.

    The budget is cut into many equal steps, of which this is the one in whose middle the step lies, as long
    as those before it (`per_step`); so the last one has decayed.
    """
    assert settings.seconds is not None
    share = min(1.0, (seconds + per_step / 2) / settings.seconds)
    cut = settings.model_copy(update={"steps": _PARTS_OF_TIME})
    return learning_rate_at(min(_PARTS_OF_TIME - 1, int(share * _PARTS_OF_TIME)), cut)


def _height(step: int, steps: int, settings: TrainingSettings) -> float:
    """Where between lowest (0) and highest (1) the rate is at a step after the warm-up."""
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "cosine_restarts":
        first, size = _cycle(step, steps, settings.cycles)
        return _half_cosine((step - first) / max(1, size - 1))
    if settings.schedule == "wsd":
        falling = min(steps, round(settings.decay_share * settings.steps))
        return 1.0 if step < steps - falling else (steps - 1 - step) / max(1, falling - 1)
    progress = step / max(1, steps - 1)
    if settings.schedule == "cyclic":
        place = (progress * settings.cycles) % 1
        return 1 - abs(2 * place - 1)
    return 1 - progress if settings.schedule == "linear" else _half_cosine(progress)


def _cycle(step: int, steps: int, cycles: int) -> tuple[int, int]:
    """The first step and the number of steps of the cycle that a step belongs to; sizes differ by one."""
    bounds = [number * steps // cycles for number in range(cycles + 1)]
    number = max(number for number in range(cycles) if bounds[number] <= step)
    return bounds[number], bounds[number + 1] - bounds[number]


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2
