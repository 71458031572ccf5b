"""Who may change something, and under which name: the one place that every changing action asks.

Reading is open to whoever reaches the server. Changing needs a login where one is configured (`[auth]` in
`.streamlit/secrets.toml`); without a login it is allowed on this machine alone, so a server that listens
to others only shows. Buttons that rest are a courtesy: a browser may send anything, so what a button or a
message does goes through `permitted`, which asks again when it happens.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ParamSpec, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import UserError, disk_sentence
from core.machine.account import account
from dashboard.components.wording import plain
from dashboard.middleware import wait_for_upload

P = ParamSpec("P")
T = TypeVar("T")

LOG_IN = "Log in to change anything; looking needs no login."
OPEN_TO_OTHERS = (
    "This dashboard listens to other machines and has no login, so it only shows."
    " Configure a login (README, More than one person), or start it without --host."
)
UNVERIFIED = (
    "The e-mail address of your account is not verified, so it can't stand under a change. Verify it."
)


@dataclass(frozen=True)
class Rights:
    """The name that changes carry, why this person may change nothing (None: may), and whether a login says
    who it is."""

    name: str
    refusal: str | None = None
    login: bool = False


def rights() -> Rights:
    """What the person before this page may do, asked anew in every run of a page."""
    user: dict[str, Any] = st.user.to_dict()
    logged_in = user.get("is_logged_in")  # absent where no login is configured
    if logged_in is None:
        here = is_this_machine(st.get_option("server.address"))
        return Rights(account(), None if here else OPEN_TO_OTHERS)
    if not logged_in:
        return Rights("", LOG_IN)
    return account_rights(user, _people())


def account_rights(user: dict[str, Any], people: Sequence[str] | None) -> Rights:
    """The rights of an account that the provider let in; `people` are patterns of e-mail addresses.

    Without `people`, every account that the provider lets in may change things.
    """
    email = str(user.get("email") or "")
    name = email or str(user.get("name") or user.get("sub") or "unknown")
    if email and not _is_verified(user):
        return Rights(name, UNVERIFIED, login=True)
    if people is None or any(fnmatchcase(email.lower(), str(one).lower()) for one in people):
        return Rights(name, login=True)
    refusal = f"{name} may only look: ask for a place under people in .streamlit/secrets.toml."
    return Rights(name, refusal, login=True)


def _is_verified(user: dict[str, Any]) -> bool:
    """Whether the provider vouches for the address. It need not say so; what it says must be true, which some
    providers write as a text."""
    claimed = user.get("email_verified", True)
    return claimed is True or (isinstance(claimed, str) and claimed.strip().lower() == "true")


def accept_upload() -> None:
    """Let this page send a file, where this person may use it."""
    context = get_script_run_ctx()
    if context is not None and may_change():
        wait_for_upload(context.session_id)


def _people() -> list[str] | None:
    """Patterns of those who may change things, from `[workbench]` of the secrets; None: not restricted."""
    listed = st.secrets.get("workbench", {}).get("people")
    return None if listed is None else [listed] if isinstance(listed, str) else list(listed)


def is_this_machine(address: str | None) -> bool:
    """Whether a server that listens on `address` hears this machine alone; no address means all."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def permitted(action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do what changes the project. Raises `UserError` where this person may change nothing, or the disk
    does not take it."""
    refusal = rights().refusal
    if refusal:
        raise UserError(refusal)
    try:
        return action(*arguments, **options)
    except OSError as error:
        sentence = disk_sentence(error)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def attempt(action: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> bool:
    """Do what a button says, if this person may; whether it was done. An error is shown as its sentence, also
    after a rerun."""
    try:
        permitted(action, *arguments, **options)
    except UserError as problem:
        st.toast(plain(problem), icon=":material/error:", duration="long")
        return False
    return True


def may_change() -> bool:
    """Whether buttons that change something are awake."""
    return rights().refusal is None


def banner() -> None:
    """One line above the page where more than one person may sit before it; nothing on one's own machine."""
    mine = rights()
    logged_in = st.user.get("is_logged_in")
    if logged_in is None and mine.refusal is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="rights"):
        st.caption(plain(mine.refusal or f"Logged in as {mine.name}."), width="stretch")
        if logged_in:
            st.button("Log out", on_click=st.logout, type="tertiary", key="log out")
        elif logged_in is False:
            st.button("Log in", on_click=st.login, type="primary", key="log in")
