"""One of the processes that share a training, for each GPU one.

`python -m core.pipeline.train_rank ROOT EXPERIMENT VARIANT SEED` is started by the train stage, which holds
the locks, keeps the state and writes the progress.
"""

import os
import sys
import traceback
from pathlib import Path

from core.errors import UserError, panics_as_errors
from core.experiments.launched_experiment import LaunchedExperiment
from core.parallel.ranks import join_workers, send_record
from core.pipeline.real_work import train_here
from core.runs.layout import Run


def main(root: str, experiment: str, variant: str, train_seed: str) -> None:
    """Take part in the training of a run."""
    run = Run(Path(root), experiment, variant, int(train_seed))
    try:
        with panics_as_errors():
            train_here(LaunchedExperiment.of(run), run, send_record, join_workers())
    except UserError as problem:
        send_record({"error": str(problem)})
        sys.exit(2)
    except Exception as problem:
        traceback.print_exc()
        place = f"Process {os.environ.get('RANK', '0')} of those that share the training failed"
        send_record({"error": f"{place} ({type(problem).__name__}: {problem}). Its log says where."})
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
