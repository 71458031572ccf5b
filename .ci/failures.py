"""What went wrong, in one sentence with a remedy, from what pip or an import printed.

Standard library only. Everything a person can cause or repair is a `SetupError`; its text is all that
is shown. The functions take printed text and give sentences, so that tests need neither pip nor network.
"""

from __future__ import annotations

import re

AGAIN = "then give the same command again; it goes on where it stopped."

_NETWORK = re.compile(
    r"connection broken|NewConnectionError|ConnectTimeout|ReadTimeout|Max retries exceeded|ProxyError"
    r"|Temporary failure in name resolution|Name or service not known|Network is unreachable"
    r"|CERTIFICATE_VERIFY_FAILED|SSLError|Could not install packages due to an OSError: HTTPS?ConnectionPool"
)
_COMPILER = re.compile(
    r"command '[^']*(?:gcc|g\+\+|cc|clang|cmake)[^']*' failed: No such file"
    r"|unable to execute '[^']*(?:gcc|g\+\+|cc|clang)|No CMAKE_CXX_COMPILER|Unknown compiler\(s\)"
)
_LIBRARY = re.compile(r"(lib[\w.+-]+?\.so(?:\.\d+)*): cannot open shared object file")
_DEBIAN_PACKAGES = {
    "libnuma.so.1": "libnuma1",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
}


class SetupError(Exception):
    """What a person can put right: one sentence that says what is wrong and what to do."""


def explain_pip(output: str, what: str, log: str) -> str:
    """The sentence for a pip that failed while installing `what`, having printed `output` to `log`."""
    package = _last(r"^\s*Collecting ([^\s(]+)", output) or what
    wanted = _last(r"No matching distribution found for ([^\s(]+)", output)
    unbuilt = _last(r"(?:Failed building wheel for|Failed to build) ([\w.-]+)", output)
    clash = _last(r"Cannot install (.+?) because these package versions have conflicting", output)
    if "No space left on device" in output or "[Errno 28]" in output:
        return f"The disk filled up while installing {what}. Free some space, {AGAIN}"
    if _NETWORK.search(output):
        return (
            f"The network failed while fetching {wanted or package}. Check the connection and the package"
            f" index that pip is configured with (`pip config list`), {AGAIN} All of pip's words: {log}"
        )
    if _COMPILER.search(output):
        return (
            f"{unbuilt or package} has to be compiled here, but there is no compiler. Install one"
            f" (Debian/Ubuntu: sudo apt-get install build-essential), {AGAIN} All of pip's words: {log}"
        )
    if clash:
        return (
            f"{clash} don't fit together. Restore the versions in the requirements files, {AGAIN} Log: {log}"
        )
    if wanted:
        return (
            f"No package {wanted} for this machine in the indexes that pip is configured with. Check"
            f" `pip config list`, the Python version and the processor, {AGAIN} All of pip's words: {log}"
        )
    if unbuilt:
        return f"{unbuilt} could not be built. The reason is in {log}; remove it, {AGAIN}"
    if "Permission denied" in output:
        return (
            f"pip may not write while installing {what}. Make .venv and its files yours, {AGAIN} Log: {log}"
        )
    reason = _last(r"^ERROR: (.+)$", output) or "no reason given"
    return f"pip failed while installing {what}: {reason} All of pip's words: {log}"


def names_no_match(output: str) -> bool:
    """Whether pip found no such package (it says so as well where it could not reach its indexes)."""
    return "No matching distribution found" in output


def explain_import(output: str, log: str) -> str | None:
    """The sentence for what importing the engine printed; None where it names nothing that is missing.

    The engine only warns when its compiled part can't be loaded, so this is asked after a success too.
    """
    library = _last(_LIBRARY, output)
    if library is None:
        missing = _last(r"ModuleNotFoundError: No module named '([^']+)'", output)
        if missing is None:
            return None
        return (
            f"The Python module {missing} is missing after the installation. Delete .venv, {AGAIN} Log: {log}"
        )
    if library.startswith(("libcuda.", "libnvidia")):
        return (
            f"{library} is missing: no NVIDIA driver is installed. Install it, or use the CPU engine"
            " (ENGINE=cpu), then give the same command again."
        )
    package = _DEBIAN_PACKAGES.get(library)
    where = f"sudo apt-get install {package}" if package else f"`apt-file search {library}` names its package"
    return f"The system library {library} is missing. Install it (Debian/Ubuntu: {where}), {AGAIN}"


def _last(pattern: str | re.Pattern[str], text: str) -> str | None:
    found = re.findall(pattern, text, re.MULTILINE) if isinstance(pattern, str) else pattern.findall(text)
    return found[-1] if found else None
