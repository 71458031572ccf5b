"""The dashboard's server, with what the pages need loaded while the browser still fetches its own files.

`python -m dashboard.serve` takes the options of `streamlit run` and does the same, but a thread begins to
import the libraries behind the pages at once, instead of with the first visit.
"""

import importlib
import sys
import threading
from pathlib import Path

NEEDED = (
    "duckdb",
    "plotly.graph_objects",
    "core.results.loading",
    "core.results.verdicts",
    "core.results.figures",
    "core.results.curves",
    "dashboard.components.evaluated",
)


def load_ahead() -> None:
    """Import what the pages will ask for; what cannot be imported is for the page that needs it to say."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            return


def main() -> None:
    """Serve the pages until the process is ended."""
    from streamlit.web.cli import main as streamlit

    threading.Thread(target=load_ahead, daemon=True).start()
    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("app.py")), *sys.argv[1:]]
    streamlit()


if __name__ == "__main__":
    main()
