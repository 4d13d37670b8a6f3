"""A person in front of the dashboard, as the server sees one: Streamlit's own protocol.

The browser talks to the server over one WebSocket: it asks for runs of a page with the state of
its widgets, and gets what the page consists of, until the run is finished.
"""

import time
from types import TracebackType
from typing import Any

from benchmarks.measure import BenchmarkError

_PATIENCE_SECONDS = 120


class Person:
    """One session. `see` and `choose` return the seconds until the page was there as a whole."""

    def __init__(self, port: int) -> None:
        from websockets.sync.client import connect

        self._socket = connect(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            open_timeout=_PATIENCE_SECONDS,
        )
        self._page = ""
        self._hash = ""
        self._widgets: dict[str, str] = {}

    def __enter__(self) -> "Person":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def see(self, page: str) -> float:
        """Open a page."""
        self._page, self._hash = page, ""
        return self._run({})

    def choose(self, label: str, *values: str) -> float:
        """Choose values of a widget of several values on the page, named by its label."""
        if label not in self._widgets:
            raise BenchmarkError(f"The page {self._page} has no {label}.")
        return self._run({self._widgets[label]: values})

    def _run(self, chosen: dict[str, tuple[str, ...]]) -> float:
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        asked = BackMsg()
        asked.rerun_script.page_name = self._page
        asked.rerun_script.page_script_hash = self._hash
        for name, values in chosen.items():
            state = asked.rerun_script.widget_states.widgets.add()
            state.id = name
            state.string_array_value.data.extend(values)
        started = time.perf_counter()
        self._socket.send(asked.SerializeToString())
        while True:
            received = self._socket.recv(timeout=_PATIENCE_SECONDS)
            message = ForwardMsg.FromString(
                received if isinstance(received, bytes) else received.encode()
            )
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._hash = message.new_session.page_script_hash
            elif kind == "delta":
                self._look_at(message.delta)
            elif kind == "script_finished":
                return time.perf_counter() - started

    def _look_at(self, delta: Any) -> None:
        element = delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise BenchmarkError(f"{self._page}: {element.exception.message}")
        if kind == "alert" and element.alert.format == element.alert.ERROR:
            raise BenchmarkError(f"{self._page}: {element.alert.body}")
        if kind == "multiselect":
            self._widgets[element.multiselect.label] = element.multiselect.id
