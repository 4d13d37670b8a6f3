"""Actions: times in every form, on and beside the edges of windows, in CSV and in JSON lines."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import strategies as st

from support.order import DomainCase, File, Rows, SourceCase


class Action(NamedTuple):
    time: str | float  # text, or epoch seconds
    action: str


class Window(NamedTuple):
    window_start: datetime
    window_end: datetime
    opens: int
    closes: int
    other_actions: int
    total_actions: int
    average_actions: float


# Few windows, their first and last instants; the same time in different forms; times that are none.
TIMES: list[str | float] = [
    1467849600,  # 2016-07-07 00:00:00
    1467849599.5,
    "2016-07-07T00:00:00",
    "2016-07-06 23:59:59.999999",
    "2016-07-07T02:00:00+02:00",
    "2016-07-06T20:09:59.999999-04:00",
    "2016-07-07T00:10:00Z",
    "2016-07-07T00:25:00.5",
    "1467850800",
    "2016-02-30T00:00:00",
    "1999-12-31T23:59:59",
    "soon",
]

_actions = st.builds(
    Action,
    time=st.sampled_from(TIMES),
    action=st.sampled_from(("Open", "Open", "Close", "close", "Reset")),
)


def write_csv(actions: Sequence[Action]) -> bytes:
    """Return a file with a header."""
    return "".join(["time,action\n", *(f"{time},{action}\n" for time, action in actions)]).encode()


def write_lines(actions: Sequence[Action]) -> bytes:
    """Return an object a line, epoch seconds as numbers."""
    return "".join(f"{json.dumps(action._asdict())}\n" for action in actions).encode()


def _time(text: str | float) -> datetime | None:
    """Return the time in UTC, or None when it is none or out of the common range."""
    try:
        time = datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        try:
            time = datetime.fromisoformat(str(text))
        except ValueError:
            return None
    time = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC).replace(tzinfo=None)
    return time if time >= datetime(2000, 1, 1) else None


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    counts: dict[datetime, Counter[str]] = {}
    for file in files:
        for action in file.records:
            if time := _time(action.time):
                start = time.replace(minute=time.minute // 10 * 10, second=0, microsecond=0)
                counts.setdefault(start, Counter())[action.action] += 1
    windows = [_window(start, kinds) for start, kinds in sorted(counts.items())]
    by_opens = sorted(windows, key=lambda window: -window.opens)[:10]
    both = [window.opens + window.closes for window in windows]
    busiest = max(windows, key=lambda window: window.total_actions, default=None)
    return {
        "fct_action_windows": windows,
        "rpt_action_summary": [
            (
                len(windows),
                sum(window.total_actions for window in windows),
                sum(both) / len(both) if both else None,
                busiest and busiest.window_start,
            )
        ],
        "rpt_busiest_open_windows": [
            (rank, window.window_start, window.window_end, window.opens, window.closes)
            for rank, window in enumerate(by_opens, 1)
        ],
    }


def _window(start: datetime, kinds: Counter[str]) -> Window:
    opens, closes = kinds["Open"], kinds["Close"]
    return Window(
        window_start=start,
        window_end=start + timedelta(minutes=10),
        opens=opens,
        closes=closes,
        other_actions=kinds.total() - opens - closes,
        total_actions=kinds.total(),
        average_actions=(opens + closes) / 2,
    )


CASE = DomainCase(
    domain="actions",
    sources={
        "actions": SourceCase(
            names=["actions_a.csv", "actions_b.csv", "actions_c.json", "actions_d.jsonl"],
            records=st.lists(_actions, min_size=1, max_size=8),
            write=write_lines,
            write_by_ending={".csv": write_csv},
        )
    },
    marts={
        "fct_action_windows": Window._fields,
        "rpt_action_summary": (
            "windows",
            "actions",
            "average_actions_per_window",
            "busiest_window_start",
        ),
        "rpt_busiest_open_windows": ("rank", "window_start", "window_end", "opens", "closes"),
    },
    reference=reference,
)
