"""Which project the dashboard shows, and who sits before it.

The root comes from the environment variable ARC_WORKBENCH_ROOT (set by the command that opens the
dashboard), else it is the folder where the server was started.
"""

import getpass
import os
from pathlib import Path

import streamlit as st

ROOT_VARIABLE = "ARC_WORKBENCH_ROOT"


def project_root() -> Path:
    """The folder that holds `data/` and `runs/`, absolute."""
    return Path(os.environ.get(ROOT_VARIABLE) or ".").resolve()


def person() -> str:
    """Who gives a flag: the account logged in to the dashboard, else the operating system's user."""
    if st.user.get("is_logged_in"):
        return str(st.user.get("email") or st.user.get("name") or "unknown")
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
