"""How long a running dashboard takes to answer: asks for pages over the websocket, as a browser does.

`python -m dashboard.page_latency PORT PID ADDRESS …` opens one session and asks for each address (such as
`results?experiment=demo`) in turn; it prints a JSON list of the seconds from question to finished page, the
seconds of processor time that the server (process PID) spent, and the bytes and exceptions that came. Time in
the browser is no part of it.
"""

import json
import sys
import time
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

LONGEST_ANSWER = 120.0


def ask_all(port: int, pid: int, addresses: list[str]) -> list[dict[str, Any]]:
    """A record for each address: address, seconds, processor_seconds, bytes, exceptions (texts)."""
    url = f"ws://127.0.0.1:{port}/_stcore/stream"
    server = psutil.Process(pid)
    protocol = Subprotocol("streamlit")
    with connect(url, max_size=None, compression=None, open_timeout=30, subprotocols=[protocol]) as socket:
        return [_ask(socket, server, address) for address in addresses]


def _ask(socket: Any, server: psutil.Process, address: str) -> dict[str, Any]:
    page, _, query = address.partition("?")
    question = BackMsg()
    question.rerun_script.page_name = page
    question.rerun_script.query_string = query
    spent, began = _processor_seconds(server), time.perf_counter()
    socket.send(question.SerializeToString())
    size, problems = 0, []
    while True:
        data = socket.recv(timeout=LONGEST_ANSWER)
        size += len(data)
        message = ForwardMsg.FromString(data)
        if message.WhichOneof("type") == "delta" and message.delta.new_element.HasField("exception"):
            problems.append(message.delta.new_element.exception.message)
        if message.WhichOneof("type") == "script_finished":
            seconds = time.perf_counter() - began
            if message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return {
                    "address": address,
                    "seconds": seconds,
                    "processor_seconds": _processor_seconds(server) - spent,
                    "bytes": size,
                    "exceptions": problems,
                }


def _processor_seconds(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    print(json.dumps(ask_all(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])))
