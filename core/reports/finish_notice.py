"""Tell a person that an experiment has ended: a command, or a call of a web address, of `data/settings.yaml`.

    on_finish:
      command: [notify-send, "{experiment}", "{sentence}"]
      webhook: http://127.0.0.1:8065/hooks/mine

The command is started as it stands, without a shell; each argument may name the experiment and the sentence
that answers its question. The address is sent both as JSON; it is called once, and follows no redirection.
"""

import json
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pydantic import Field

from core.errors import UserError
from core.experiments.listing import list_runs
from core.machine.processes import Notify
from core.monitoring.overview import overview
from core.runs.state import state_of
from core.settings import Settings, read_yaml, validated

SECONDS_OF_A_COMMAND, SECONDS_OF_A_CALL = 60.0, 10.0


class OnFinish(Settings):
    """What happens when no run of an experiment is under way or waits any more."""

    command: tuple[str, ...] = Field(
        (),
        description="Program and arguments; {experiment} and {sentence} are filled in, no shell reads them.",
    )
    webhook: str | None = Field(
        None, pattern=r"^https?://[^\s]+$", description="An address that gets a POST of JSON."
    )


class ProjectSettings(Settings):
    """The schema of `data/settings.yaml`, which need not exist."""

    on_finish: OnFinish = Field(OnFinish(), description="Whom to tell that an experiment has ended.")


def project_settings(root: Path) -> ProjectSettings:
    """The settings of a project. Raises `UserError` where the file can't be read."""
    path = root / "data" / "settings.yaml"
    if not path.exists():
        return ProjectSettings()
    value = read_yaml(path)
    return validated(ProjectSettings, {} if value is None else value, str(path))


def tell_of_end(root: Path, experiment: str, notify: Notify) -> threading.Thread | None:
    """Where an experiment has ended, tell whom the settings name, beside the caller; what goes wrong is said.

    Returns the thread that tells, None where there is nothing to tell.
    """
    try:
        wanted = project_settings(root).on_finish
    except UserError as problem:
        notify(str(problem))
        return None
    if not (wanted.command or wanted.webhook) or not has_ended(root, experiment):
        return None
    thread = threading.Thread(target=_tell, args=(root, experiment, wanted, notify))
    thread.start()
    return thread


def has_ended(root: Path, experiment: str) -> bool:
    """Whether no run of an experiment is under way or waits."""
    states = {state_of(run).state for run in list_runs(root, experiment)}
    return bool(states) and not states & {"running", "queued"}


def ending(root: Path, experiment: str) -> str:
    """How far an experiment came, and the sentence that answers its question where there is one."""
    from core.results.conclusion import experiment_answer  # heavy, and needed only where somebody is told
    from core.results.loading import load_scores

    seen = overview(root, experiment).sentence
    try:
        answer = experiment_answer(load_scores(root, experiment))
    except UserError:
        answer = ""
    return f"{seen}. {answer}".strip()


def _tell(root: Path, experiment: str, wanted: OnFinish, notify: Notify) -> None:
    try:
        sentence = ending(root, experiment)
        if wanted.command:
            _run(wanted.command, {"{experiment}": experiment, "{sentence}": sentence})
            notify(f"on_finish: {wanted.command[0]} was told that {experiment} has ended.")
        if wanted.webhook:
            _call(wanted.webhook, {"experiment": experiment, "sentence": sentence, "text": sentence})
            notify(f"on_finish: the webhook was told that {experiment} has ended.")
    except (UserError, OSError, ValueError, subprocess.SubprocessError) as problem:
        notify(f"on_finish of {experiment} failed: {problem}. Correct it in data/settings.yaml.")


def _run(command: tuple[str, ...], words: dict[str, str]) -> None:
    """Run a command to its end. Raises `SubprocessError` where it fails or takes too long, `OSError` where
    there is no such program."""
    arguments = list(command)
    for name, text in words.items():
        arguments = [one.replace(name, text) for one in arguments]
    subprocess.run(
        arguments,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS_OF_A_COMMAND,
    )


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, so that only the address of the settings is called."""

    def redirect_request(self, *_: Any) -> None:
        """Nothing else is asked."""


def _call(address: str, record: dict[str, str]) -> None:
    """POST a record as JSON. Raises `OSError` where nobody takes it."""
    request = urllib.request.Request(
        address, json.dumps(record).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.build_opener(_Stay).open(request, timeout=SECONDS_OF_A_CALL):
        pass
