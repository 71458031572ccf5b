"""How long work goes on, by the pace that it has kept so far."""

import time


class Pace:
    """The time that is left of work in steps, from its first step on.

    What happens before the first step counts nothing: an engine starts, or a model is loaded.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None  # when the first step came, and what was done by then

    def begin(self, done: float) -> None:
        """The first step has come; later calls change nothing."""
        self._first = self._first or (time.monotonic(), done)

    def seconds_left(self, done: float, total: float) -> float | None:
        """Seconds until `total` of what `done` counts; None until there was a second step."""
        self.begin(done)
        assert self._first is not None
        since, before = self._first
        return (time.monotonic() - since) / (done - before) * (total - done) if done > before else None
