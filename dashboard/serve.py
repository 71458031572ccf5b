"""Start the dashboard's server: `python -m dashboard.serve` takes the options of `streamlit run`."""

import sys
from pathlib import Path


def main() -> None:
    """Serve the pages until the process is ended."""
    from streamlit.web.cli import main as streamlit

    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("server.py")), *sys.argv[1:]]
    streamlit()


if __name__ == "__main__":
    main()
