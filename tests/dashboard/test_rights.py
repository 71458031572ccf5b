"""Who may change something: on one's own machine, among others without a login, and with one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.arc.tasks import Pair, Task
from core.commands import dashboard
from core.curation.flags import all_flags
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.machine.account import account
from dashboard.components import rights
from tests.dashboard.browserless import Page
from tests.dashboard.provider import CLIENT, SECRET, Provider
from tests.served import is_healthy

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENS = REPOSITORY / "dashboard" / "screens"
SECONDS = 120
FLAG = {"0a1b2c3d": [[1, "flag", "tiny", "aa", "yes"]]}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one task."""
    root = tmp_path / "project"
    grid = np.ones((2, 2), dtype=np.uint8)
    tasks = [Task("aa", "tiny", "aa", (Pair(grid, grid),), (Pair(grid, grid),))]
    store_source(root, SourceInfo("tiny", "test", "1", "none", "0" * 64), tasks)
    monkeypatch.setenv("ARC_WORKBENCH_ROOT", str(root))
    return root


@pytest.mark.parametrize(
    "address, here",
    [
        *((here, True) for here in ("127.0.0.1", "localhost", "::1", "127.0.0.9")),
        *((other, False) for other in ("0.0.0.0", "::", "10.0.0.1", "", None, "lab")),
    ],
)
def test_only_loopback_is_this_machine(address: str | None, here: bool) -> None:
    assert rights.is_this_machine(address) is here


NOT_TRUE = (False, "false", "False", "", "0", "no", 0, 1, None, [], {"value": True})
ADA = {"is_logged_in": True, "email": "Ada@lab.org", "name": "Ada"}


@pytest.mark.parametrize(
    "user, people, name, may",
    [
        (ADA, None, "Ada@lab.org", True),
        (ADA, ["*@lab.org"], "Ada@lab.org", True),
        (ADA, ["bob@lab.org", "ada@lab.org"], "Ada@lab.org", True),
        (ADA, ["bob@lab.org"], "Ada@lab.org", False),
        (ADA, [], "Ada@lab.org", False),
        *(({**ADA, "email_verified": no}, ["*@lab.org"], "Ada@lab.org", False) for no in NOT_TRUE),
        *(({**ADA, "email_verified": yes}, None, "Ada@lab.org", True) for yes in (True, "true", "True")),
        ({"is_logged_in": True, "name": "Ada"}, None, "Ada", True),
        ({"is_logged_in": True, "name": "ada@lab.org"}, ["*@lab.org"], "ada@lab.org", False),
        ({"is_logged_in": True, "sub": "17"}, None, "17", True),
    ],
)
def test_what_an_account_may(user: dict[str, Any], people: list[str] | None, name: str, may: bool) -> None:
    mine = rights.account_rights(user, people)
    assert (mine.name, mine.refusal is None) == (name, may)


def page(name: str, user: dict[str, Any] | None = None) -> AppTest:
    """A page as this person sees it; `user` None: no login is configured."""
    seen = AppTest.from_file(str(SCREENS / f"{name}.py"))
    if user is not None:
        seen.user = user
        seen.secrets["auth"] = {}
    return seen.run(timeout=SECONDS)


@pytest.mark.parametrize("name, key", [("data", "import"), ("sql", "save")])
def test_buttons_rest_until_the_login(root: Path, name: str, key: str) -> None:
    if name == "data":
        key = "import arc1"
        (root / "data" / "sources" / "tiny.json").unlink()
    assert not page(name).button(key=key).disabled
    assert page(name, {"is_logged_in": False}).button(key=key).disabled
    assert not page(name, ADA).button(key=key).disabled


def test_permitted_hands_on_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "rights", lambda: rights.Rights("ada"))
    assert rights.permitted(max, [1, 3], default=0) == 3
    monkeypatch.setattr(rights, "rights", lambda: rights.Rights("", rights.LOG_IN))
    with pytest.raises(UserError, match="Log in to change"):
        rights.permitted(max, [1, 3])


def test_a_login_is_found_where_streamlit_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert dashboard.login_settings(tmp_path) is None
    path = tmp_path / ".streamlit" / "secrets.toml"
    path.parent.mkdir()
    path.write_text("[workbench]\npeople = []\n")
    assert dashboard.login_settings(tmp_path) is None
    path.write_text('[auth]\nredirect_uri = "https://arc.lab.org/oauth2callback"\n')
    login = dashboard.login_settings(tmp_path)
    assert "arc.lab.org" in dashboard.server_options("127.0.0.1", 1, login)
    assert "read-only" in dashboard.warning(with_login=False)
    assert "read-only" not in dashboard.warning(with_login=True)
    path.write_text("[auth")
    with pytest.raises(UserError, match=r"secrets.toml is no valid TOML"):
        dashboard.login_settings(tmp_path)


# ------------------------------------------------------------------ a real server


class Server:
    """The dashboard on a free port, by the verb, or with secrets of its own."""

    def __init__(self, root: Path, folder: Path, host: str, secrets: str | None = None) -> None:
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        command = [sys.executable, "-m", "core", "dashboard", "--host", host, "--port", str(self.port)]
        command += ["--root", str(root)]
        if secrets is not None:
            path = folder / "secrets.toml"
            path.write_text(secrets.replace("{port}", str(self.port)))
            command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py"]
            command += [*dashboard.server_options(host, self.port, {}), "--secrets.files", str(path)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**os.environ, "ARC_WORKBENCH_ROOT": str(root), "DISPLAY": "", "WAYLAND_DISPLAY": ""},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while not is_healthy(self.address):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def flag(server: Server, cookies: dict[str, str] | None = None) -> str:
    """Send the deck's message with one flag, as the browser does; what the page shows then."""
    curate = Page(server.address, "curate", cookies)
    try:
        curate.tell_deck(json.dumps({"message": {"attempt": 1, "source": "tiny", "boxes": FLAG}}))
        return curate.texts()
    finally:
        curate.close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


def log_in(server: Server, button_of: Page) -> dict[str, str]:
    """Press "Log in", follow the redirects to the provider and back; the cookies of the login."""
    button_of.press("Log in")
    with httpx.Client(follow_redirects=True, base_url=server.address) as client:
        answer = client.get(button_of.redirect)
        assert answer.status_code == 200, answer.text
        return dict(client.cookies)


def test_on_this_machine_flags_carry_the_account(root: Path, tmp_path: Path) -> None:
    server = Server(root, tmp_path / "server", "127.0.0.1")
    try:
        assert rights.OPEN_TO_OTHERS not in flag(server)
        assert "WARNING" not in server.log.read_text()
        assert [(mark["task_id"], mark["by"]) for mark in all_flags(root)] == [("aa", account())]
        sql = Page(server.address, "sql")
        sql.press("Save", sql.text("name", "mine"))
        sql.close()
        assert (root / "data" / "queries" / "mine.sql").exists()
        with pytest.raises(Exception, match="403"):  # a name elsewhere that was made to point here
            Page(server.address, "curate", called="elsewhere.org")
    finally:
        server.stop()


def test_among_others_without_a_login_nothing_changes(root: Path, tmp_path: Path) -> None:
    # 127.0.0.1 in a spelling that the check can't tell from an address of others: nobody else hears the test.
    server = Server(root, tmp_path / "server", "127.1")
    try:
        assert dashboard.warning(with_login=False) in server.log.read_text()
        assert "it only shows" in flag(server)
        sql = Page(server.address, "sql")
        assert sql.button("Save").disabled
        sql.press("Save", sql.text("name", "mine"))  # as on this machine, where it does save
        sql.close()
        assert all_flags(root) == [] and not (root / "data" / "queries").exists()
    finally:
        server.stop()


def test_with_a_login_flags_carry_its_name(root: Path, tmp_path: Path, provider: Provider) -> None:
    secrets = f"""
[auth]
redirect_uri = "http://127.0.0.1:{{port}}/oauth2callback"
cookie_secret = "{"c" * 32}"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
server_metadata_url = "{provider.address}/.well-known/openid-configuration"
[workbench]
people = ["*@lab.org"]
"""
    server = Server(root, tmp_path / "server", "127.0.0.1", secrets)
    try:
        assert rights.LOG_IN in flag(server)
        assert rights.LOG_IN in flag(server, {"_streamlit_user": '{"is_logged_in": true}|forged'})
        assert all_flags(root) == []
        before = Page(server.address, "curate")
        provider.account = {"email": "eve@elsewhere.org", "email_verified": True}
        assert "eve@elsewhere.org may only look" in flag(server, log_in(server, before))
        assert all_flags(root) == []
        provider.account = {"email": "ada@lab.org", "email_verified": True}
        cookies = log_in(server, before)
        before.close()
        assert "Logged in as ada@lab.org." in flag(server, cookies)
        assert [(mark["task_id"], mark["by"]) for mark in all_flags(root)] == [("aa", "ada@lab.org")]
    finally:
        server.stop()
