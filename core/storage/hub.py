"""Base models on a model hub: whether a name stands for one, before anything is launched with it.

A name such as `org/model` may as well be a path that was misspelt. It is looked for among the models that
this machine keeps from the hub, then on the hub itself.
"""

import functools
import time

from core.errors import UserError

SECONDS_TO_ANSWER = 10.0
SECONDS_KEPT = 60


def check_hub_model(name: str) -> None:
    """Raise `UserError` unless this machine or the hub has a model of that name. An answer is kept for a
    minute."""
    problem = _problem(name, int(time.monotonic() // SECONDS_KEPT))
    if problem is not None:
        raise UserError(
            f"There is no folder '{name}' with a base model, and the hub gives no model of that name"
            f" ({problem}). Correct base_model."
        )


@functools.lru_cache(maxsize=64)
def _problem(name: str, _minute: int) -> str | None:
    """Why the hub gives no model of that name; None where it gives one."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return None
        HfApi().model_info(name, timeout=SECONDS_TO_ANSWER)
    except HFValidationError:
        return "it can't be the name of one"
    except RepositoryNotFoundError:
        return "the hub does not know it, or only for those who log in"
    except Exception as problem:  # no network, a proxy, a limit: each has an error of its own
        return f"the hub can't be asked: {type(problem).__name__}"
    return None
