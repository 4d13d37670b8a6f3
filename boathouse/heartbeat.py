"""How others see that `boathouse watch` lives: a file's time, systemd's watchdog, a URL.

A beat means that watch has got further, not only that its process exists: one that hangs has none.
"""

import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from boathouse import notes
from boathouse.settings import Settings, environment_variable

CALL_SECONDS = 30.0  # between two calls of the URL
PATIENCE_SECONDS = 10.0
THREAD = "heartbeat"  # that calls it


def file(settings: Settings) -> Path:
    """Return the file whose time of change is that of the last beat."""
    return settings.home_folder / "watch.json"


def last_beat(settings: Settings) -> float | None:
    """Return when watch last gave a sign of life (seconds since 1970); None when it never did."""
    try:
        return file(settings).stat().st_mtime
    except OSError:
        return None


class Heartbeat:
    """The beats of one process. Nothing here raises: what cannot be told must not end a watch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = file(settings)
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._noted: str | None = None
        self._called = float("-inf")
        self._calling: threading.Thread | None = None
        self._socket = environment_variable("NOTIFY_SOCKET")  # systemd's, of units that ask for it
        self._tell_systemd("READY=1")

    def beat(self, trouble: str = "") -> None:
        """Show that watch lives; `trouble` is what ails it, if anything does."""
        self._tell_systemd("WATCHDOG=1")
        with suppress(OSError):
            if self._noted == trouble and self._file.exists():
                os.utime(self._file)  # which needs no space on the disk
            else:
                self._write(trouble)
                self._noted = trouble

    def end_round(self, trouble: str = "") -> None:
        """Beat, and call `BOATHOUSE_HEARTBEAT_URL` unless that was done a moment ago."""
        self.beat(trouble)
        url = self._settings.heartbeat_url
        is_calling = self._calling is not None and self._calling.is_alive()
        if url is None or not url.get_secret_value() or is_calling:
            return
        if time.monotonic() - self._called >= CALL_SECONDS:
            self._called = time.monotonic()
            # A server that is slow to answer must not keep files waiting.
            self._calling = threading.Thread(
                target=_call, args=[url.get_secret_value()], name=THREAD, daemon=True
            )
            self._calling.start()

    def end(self) -> None:
        """Show that watch was told to end: what is left behind is of one that was not."""
        self._tell_systemd("STOPPING=1")
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _write(self, trouble: str) -> None:
        notes.write(self._file, {"pid": os.getpid(), "since": self._since, "trouble": trouble})

    def _tell_systemd(self, message: str) -> None:
        if not self._socket:
            return
        address = f"\0{self._socket[1:]}" if self._socket.startswith("@") else self._socket
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(1)
            line.sendto(message.encode(), address)


def _call(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme in ("http", "https"):
        request = urllib.request.Request(url, headers={"User-Agent": "boathouse"})
        with (
            suppress(OSError, ValueError),
            urllib.request.urlopen(request, timeout=PATIENCE_SECONDS),
        ):
            pass
