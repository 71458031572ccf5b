"""Who works here: the name that flags and launches from the command line carry."""

import getpass


def account() -> str:
    """The operating system's user; "unknown" where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
