"""Which project the dashboard shows.

The root comes from the environment variable ARC_WORKBENCH_ROOT (set by the command that opens the
dashboard), else it is the folder where the server was started.
"""

import os
from pathlib import Path

ROOT_VARIABLE = "ARC_WORKBENCH_ROOT"


def project_root() -> Path:
    """The folder that holds `data/` and `runs/`, absolute."""
    return Path(os.environ.get(ROOT_VARIABLE) or ".").resolve()
