"""A client of a dashboard that is no browser: it speaks the server's messages, so it may send anything."""

import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from google.protobuf import text_format
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect

from tests.shown import as_read

SECONDS = 120.0
XSRF = "_streamlit_xsrf"


class Page:
    """One page of a dashboard, opened by a websocket, with or without the cookies of a login."""

    def __init__(
        self,
        address: str,
        page: str,
        cookies: Mapping[str, str] | None = None,
        *,
        called: str | None = None,
        query: str = "",
    ) -> None:
        """Open a page; `called` is another name under which the server is addressed."""
        self.page, self.query = page, query
        server = urlsplit(address)
        token = httpx.get(f"{address}/_stcore/health").cookies[XSRF]
        origin = address if called is None else f"http://{called}:{server.port}"
        sent = {XSRF: token, **(cookies or {})}
        self._socket: ClientConnection = connect(
            origin.replace("http", "ws", 1) + "/_stcore/stream",
            legacy=True,
            sock=socket.create_connection((server.hostname, server.port)),
            subprotocols=["streamlit", token],  # type: ignore[list-item]
            additional_headers={
                "Origin": origin,
                "Cookie": "; ".join(f"{name}={value}" for name, value in sent.items()),
            },
            max_size=None,
            ping_interval=None,  # a busy server answers late
        )
        self.elements: list[Any] = []
        self.popovers: list[Any] = []
        self.redirect = ""
        self.send()

    def send(self, *states: WidgetState) -> None:
        """Run the page with these states of its widgets, and collect what it shows."""
        message = BackMsg()
        message.rerun_script.page_name = self.page
        message.rerun_script.query_string = self.query
        message.rerun_script.widget_states.widgets.extend(states)
        self._socket.send(message.SerializeToString())
        self.elements, self.popovers = [], []
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            heard = ForwardMsg()
            data = self._socket.recv(timeout=SECONDS)
            assert isinstance(data, bytes)
            heard.ParseFromString(data)
            if heard.WhichOneof("type") == "delta":
                self.elements.append(heard.delta.new_element)
                if heard.delta.add_block.popover.id:  # one that the page fills when it is opened
                    self.popovers.append(heard.delta.add_block.popover)
            if heard.WhichOneof("type") == "auth_redirect":
                self.redirect = heard.auth_redirect.url
            if heard.WhichOneof("type") == "script_finished":
                if heard.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return
                self.elements, self.popovers = [], []  # the next run shows the page anew
        raise AssertionError("the page never finished")

    def texts(self) -> str:
        """Everything shown, as a person reads it."""
        shown = (text_format.MessageToString(element, as_utf8=True) for element in self.elements)
        return as_read("\n".join(shown).replace("\\\\", "\\"))

    def opened(self, label: str) -> WidgetState:
        """The popover with this label, open."""
        found = next(one for one in self.popovers if one.label == label)
        return WidgetState(id=found.id, bool_value=True)

    @property
    def buttons(self) -> list[Any]:
        """Every button that is shown."""
        return [element.button for element in self.elements if element.WhichOneof("type") == "button"]

    @property
    def exceptions(self) -> list[str]:
        """The exceptions that are shown, fragments included."""
        shown = [one.exception.message for one in self.elements if one.WhichOneof("type") == "exception"]
        return [as_read(text)[:300] for text in shown]

    def button(self, label: str) -> Any:
        """The button with this label; `disabled` says whether it rests."""
        return next(button for button in self.buttons if button.label == label)

    def press(self, label: str, *states: WidgetState) -> None:
        """What a browser sends when a button is pressed, whether it rests or not."""
        self.send(*states, WidgetState(id=self.button(label).id, trigger_value=True))

    def text(self, label: str, value: str) -> WidgetState:
        """A text field with this label, filled in."""
        return next(
            WidgetState(id=element.text_input.id, string_value=value)
            for element in self.elements
            if element.WhichOneof("type") == "text_input" and element.text_input.label == label
        )

    def tell_deck(self, message: str) -> None:
        """What the curation deck sends: its state as JSON."""
        deck = next(e.bidi_component for e in self.elements if e.WhichOneof("type") == "bidi_component")
        self.send(WidgetState(id=deck.id, json_value=message))

    def close(self) -> None:
        self._socket.close()
