"""A person's SQL, answered by a process that is bounded in memory, time and reach.

In come the text, the parquet files behind named views, and small tables; out comes an Arrow table with no
more rows and bytes than allowed. The process is `sandboxed`; here it is started, fed, listened to and, where
it is cancelled or late, killed. It sees none of our environment and can harm nothing here.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from core.errors import UserError

CHILD = Path(__file__).with_name("sandboxed.py")
LONGEST_SQL = 100_000
MOST_AT_ONCE = 6
"""Queries that may run at a time in one process: each may take the memory of `Limits`."""
_running: set["Question"] = set()
_running_lock = threading.Lock()
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TZ")
_ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's own allocator reserves a gigabyte of addresses at once, and addresses are what is bounded."""


@dataclass(frozen=True)
class Limits:
    """How far a query may go: rows and bytes of its result, bytes of memory, seconds in all."""

    rows: int = 10_000
    bytes: int = 32 * 2**20
    memory: int = 1024 * 2**20
    seconds: float = 30.0


LIMITS = Limits()


@dataclass(frozen=True)
class Views:
    """What a query can name: parquet files, the statements that make views of them, and tables."""

    files: tuple[Path, ...]
    statements: tuple[str, ...]
    tables: Mapping[str, pa.Table]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The rows; what cut them ("rows", "bytes" or ""); seconds it took; the process's peak memory."""

    table: pa.Table
    cut: str
    seconds: float
    peak_bytes: int


SECONDS_BETWEEN_LOOKS = 0.02


class Question:
    """One query in its own process, from its start on. `answer` waits for it, `cancel` ends it."""

    def __init__(self, sql: str, views: Views, limits: Limits = LIMITS) -> None:
        """Start the query. Raises `UserError` where the text is too long, or too many queries run already."""
        if len(sql) > LONGEST_SQL:
            raise UserError(f"The query has {len(sql):,} characters. Shorten it below {LONGEST_SQL:,}.")
        try:
            sql.encode()
        except UnicodeEncodeError:
            raise UserError(
                "The query holds half a character, which stands for nothing. Remove it."
            ) from None
        self.sql = sql
        self.limits = limits
        self.peak_bytes = 0
        self._ended_by = ""
        self._lock, self._gone = threading.Lock(), False
        self._said = b""
        self._began = time.monotonic()
        self._seconds = 0.0
        with _running_lock:
            if len(_running) >= MOST_AT_ONCE:
                raise UserError(f"{MOST_AT_ONCE} queries are running. Wait for one to end, or cancel one.")
            _running.add(self)
        try:
            self._process = _start()
        except OSError:
            self._forget()
            raise
        self._late = threading.Timer(limits.seconds, self._end, ["time"])
        self._late.daemon = True
        self._late.start()
        self._thread = threading.Thread(target=self._converse, args=[views], daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch_memory, daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether the answer is there, or why there is none."""
        return not self._thread.is_alive()

    @property
    def running_seconds(self) -> float:
        """Seconds since the start, or that it took."""
        return self._seconds or time.monotonic() - self._began

    def cancel(self) -> None:
        """End the query at once; its answer is then an error."""
        self._end("person")

    def answer(self) -> Answer:
        """Wait for the rows. Raises `UserError` with what was wrong with the query, or what stopped it."""
        self._thread.join()
        kind, data = self._said[:1], self._said[1:]
        if kind == b"T" and not self._ended_by:
            table = pa.ipc.open_stream(data).read_all()
            cut = (table.schema.metadata or {}).get(b"cut", b"").decode()
            return Answer(table.replace_schema_metadata(None), cut, self._seconds, self.peak_bytes)
        raise UserError(self._what_ended_it() if kind != b"E" or self._ended_by else data.decode())

    def _what_ended_it(self) -> str:
        if self._ended_by == "person":
            return "The query was cancelled. Nothing was changed."
        code = self._process.returncode
        if self._ended_by == "time" or code in (-signal.SIGXCPU, -signal.SIGALRM):
            return (
                f"The query took longer than {self.limits.seconds:g} s and was stopped."
                " Narrow it, for instance to one experiment."
            )
        if self._ended_by == "size":
            return "The result is too large to show. Ask for fewer rows or shorter texts."
        return (
            f"The query brought its process down (code {code}), as a lack of memory does:"
            f" it may use {self.limits.memory // 2**20} MB. Ask for fewer rows, or write it simpler."
        )

    def _converse(self, views: Views) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        most = 2 * self.limits.bytes + 2**20
        try:
            _send(process.stdin, self.sql, views, self.limits)
            self._said = process.stdout.read(most + 1)
            if len(self._said) > most:
                self._said = b""
                self._end("size")
        finally:
            self._late.cancel()
            self._reap()
            self._forget()
            process.stdout.close()
            self._seconds = time.monotonic() - self._began

    def _forget(self) -> None:
        """Make room for another query."""
        with _running_lock:
            _running.discard(self)

    def _reap(self) -> None:
        """Wait for the process, which has said all that it will say."""
        self._end("")
        with self._lock:
            _, status = os.waitpid(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._gone = True

    def _watch_memory(self) -> None:
        """Note the peak memory while the process lives. What the kernel says at its end would count the
        memory of this process too, which stood there before the child's program was loaded."""
        while True:
            with self._lock:
                if self._gone:
                    return
                self.peak_bytes = max(self.peak_bytes, _peak_of(self._process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _end(self, why: str) -> None:
        """Kill the process unless it is gone, when its number may be another's; the first reason counts."""
        with self._lock:
            if not self._gone:
                self._ended_by = self._ended_by or why
                os.kill(self._process.pid, signal.SIGKILL)


def _peak_of(pid: int) -> int:
    """The largest resident size of a process so far, in bytes; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _start() -> "subprocess.Popen[bytes]":
    """The process, in a group of its own so that a Ctrl-C is handled here, without our environment."""
    return subprocess.Popen(
        [sys.executable, "-I", str(CHILD)],
        cwd="/",
        env={**{name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}, **_ALLOCATOR},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _send(stdin: IO[bytes], sql: str, views: Views, limits: Limits) -> None:
    """The question, as the process reads it; that it died before it heard us is told by its silence."""
    question = {
        "sql": sql,
        "files": [str(path.absolute()) for path in views.files],
        "views": list(views.statements),
        "tables": list(views.tables),
        "known": list(views.known),
        "rows": limits.rows,
        "bytes": limits.bytes,
        "memory": limits.memory,
        "seconds": limits.seconds,
    }
    try:
        with stdin:
            stdin.write(json.dumps(question).encode() + b"\n")
            for table in views.tables.values():
                with pa.ipc.new_stream(stdin, table.schema) as writer:
                    writer.write_table(table)
    except (BrokenPipeError, pa.ArrowException, OSError):
        return
