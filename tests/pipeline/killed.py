"""A verb that kills its process group: `python -m tests.pipeline.killed STAGE REPORTS ARGUMENTS…`.

The kill (SIGKILL) comes with report number REPORTS of the stage, after it was written; what was imported
until then is printed.
"""

import os
import signal
import sys
from typing import Any

from core.__main__ import main
from core.inference import prediction_parts
from core.pipeline import adapt
from core.runs import reporter

STAGE, REPORTS = sys.argv[1], int(sys.argv[2])
seen = 0
honest = reporter.Reporter.__call__


def report(self: reporter.Reporter, record: dict[str, Any]) -> None:
    global seen
    honest(self, record)
    seen += self.stage == STAGE
    if seen == REPORTS:
        print("loaded:", *sys.modules, flush=True)
        os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    prediction_parts.SECONDS_PER_PART = 0.0
    adapt.SECONDS_BETWEEN_REPORTS = 0.0
    reporter.Reporter.__call__ = report  # type: ignore[method-assign]
    sys.argv[1:] = sys.argv[3:]
    main()
