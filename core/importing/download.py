"""Downloads by http(s) into a cache: resumed where they were cut, bounded, checked.

A file under way ends in `.part`, beside a note of what the server called its version (ETag or date);
it is continued only where the server still has that version. Given again, the same address comes from
the cache.
"""

import contextlib
import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import UserError
from core.importing.archives import MAX_FILE_BYTES
from core.storage.files import locked, read_json, sha256_of, write_json

TRIES = 5
WAIT = 0.25  # seconds, doubled before each further try
SLOWEST = 1024  # bytes per second; below it, for as long as the timeout, a server counts as stalled

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and the total where it is known."""


def silent(_what: str, _done: int, _total: int | None) -> None:
    """A progress that nobody watches."""


def is_url(origin: str) -> bool:
    """Whether an origin is an address to download from."""
    return urlsplit(origin).scheme in ("http", "https")


def cached_path(root: Path, url: str) -> Path:
    """Where a download is kept: the end of the address behind a hash of all of it."""
    end = urlsplit(url).path.rsplit("/", 1)[-1][-80:]
    name = "".join(letter for letter in end if letter.isascii() and (letter.isalnum() or letter in "._-"))
    return root / "data" / ".cache" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name.lstrip('.')}"


def download(
    root: Path,
    url: str,
    *,
    sha256: str | None = None,
    timeout: float = 30,
    fresh: bool = False,
    progress: Progress = silent,
) -> Path:
    """The file behind an address, from the cache or downloaded; `fresh` asks the server again.

    A connection that is cut or stalls is resumed, five times in all. Raises `UserError` where the
    address answers with an error, stays silent for `timeout` seconds, or the checksum is another.
    """
    path = cached_path(root, url)
    with locked(path.with_name(path.name + ".lock")):
        if fresh or not path.is_file():
            _download(url, path, timeout, progress)
        if sha256 is not None and sha256_of(path) != sha256.lower():
            found = sha256_of(path)
            path.unlink()
            raise UserError(
                f"{url} has the checksum {found}, not {sha256}. It was deleted; check the address and"
                " the checksum, then try again."
            )
    return path


def _download(url: str, path: Path, timeout: float, progress: Progress) -> None:
    part = path.with_name(path.name + ".part")
    problem: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(WAIT * 2**attempt)
        try:
            _receive(url, part, timeout, progress)
        except urllib.error.HTTPError as refused:
            if refused.code == 416:  # what we hold is longer than the file: start over
                part.unlink(missing_ok=True)
                continue
            if refused.code < 500 and refused.code not in (408, 429):
                raise UserError(
                    f"{url} answers with {refused.code} ({refused.reason}). Download the file yourself and"
                    " import that (--from FILE)."
                ) from None
            problem = refused
        except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as cut:
            problem = cut
        else:
            part.replace(path)
            _note(part).unlink(missing_ok=True)
            return
    reason = getattr(problem, "reason", None) or problem
    raise UserError(
        f"{url} could not be downloaded ({reason}). Try again to go on where it stopped, or"
        " download the file yourself and import that (--from FILE)."
    )


def _receive(url: str, part: Path, timeout: float, progress: Progress) -> None:
    """Receive the rest of the file into `part`. Raises ConnectionError where it ends too early."""
    held, version = _held(part)
    request = urllib.request.Request(
        url, headers={"User-Agent": "arc-workbench", "Accept-Encoding": "identity"}
    )
    if held and version:
        request.add_header("Range", f"bytes={held}-")
        request.add_header("If-Range", version)
    with _opener().open(request, timeout=timeout) as response:
        if response.status != 206 or not _continues_at(response, held):
            held = 0
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        write_json(_note(part), {"url": url, "version": "" if version.startswith("W/") else version})
        length = response.headers.get("Content-Length", "")
        total = held + int(length) if length.isdigit() else None
        if (total or 0) > MAX_FILE_BYTES:
            raise UserError(f"{url} has {total:,} bytes, more than the {MAX_FILE_BYTES:,} allowed.")
        with part.open("r+b" if held else "wb") as file:
            file.seek(held)
            file.truncate()
            done = _copy(response, file.write, held, total, timeout, url, progress)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection was cut after {done:,} of {total:,} bytes")


def _copy(
    response: HTTPResponse,
    write: Callable[[bytes], object],
    done: int,
    total: int | None,
    timeout: float,
    url: str,
    progress: Progress,
) -> int:
    """Copy the body, watching size and speed; returns the bytes held in the end."""
    window_start, window_bytes = time.monotonic(), 0
    while chunk := response.read1(1 << 16):
        write(chunk)
        done += len(chunk)
        window_bytes += len(chunk)
        progress(f"Downloading {urlsplit(url).path.rsplit('/', 1)[-1]}", done, total)
        if done > MAX_FILE_BYTES:
            raise UserError(f"{url} has more than the {MAX_FILE_BYTES:,} bytes allowed.")
        elapsed = time.monotonic() - window_start
        if elapsed > timeout:
            if window_bytes < SLOWEST * elapsed:
                raise TimeoutError(f"only {window_bytes:,} bytes came in {elapsed:.0f} seconds")
            window_start, window_bytes = time.monotonic(), 0
    return done


def _held(part: Path) -> tuple[int, str]:
    """How many bytes are here already, and of which version of the file."""
    if not part.is_file():
        return 0, ""
    with contextlib.suppress(UserError, AttributeError):
        version = read_json(_note(part)).get("version")
        return part.stat().st_size, version if isinstance(version, str) else ""
    return 0, ""


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _continues_at(response: HTTPResponse, held: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {held}-")


def _opener() -> urllib.request.OpenerDirector:
    """An opener for http and https alone, so that no redirect can lead to a local file."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
