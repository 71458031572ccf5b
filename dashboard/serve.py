"""Start the dashboard's server: `python -m dashboard.serve` takes the options of `streamlit run`."""

import gc
import os
import sys
from pathlib import Path

from core.machine.processes import WITH_PARENT, end_with_parent


def main() -> None:
    """Serve the pages until the process is ended."""
    if os.environ.pop(WITH_PARENT, None):
        end_with_parent()
    gc.disable()  # libraries stay: nobody needs to look for what may go until all are loaded, see `server`
    from streamlit.web.cli import main as streamlit

    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("server.py")), *sys.argv[1:]]
    streamlit()


if __name__ == "__main__":
    main()
