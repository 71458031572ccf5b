"""The learning rate as a pure function of the step, so that a resumed training needs no state for it."""

import math

from core.training.settings import TrainingSettings


def learning_rate_at(step: int, settings: TrainingSettings) -> float:
    """The learning rate of step 0 … steps − 1.

    Linear warm-up to the highest rate over `warmup_share` of the steps, then constant, linear or half a
    cosine down to `final_share` of it at the last step (Loshchilov & Hutter 2017 for the cosine).
    """
    warmup = round(settings.warmup_share * settings.steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    progress = (step - warmup) / max(1, settings.steps - 1 - warmup)
    falling = 1 - progress if settings.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return settings.learning_rate * (settings.final_share + (1 - settings.final_share) * falling)
