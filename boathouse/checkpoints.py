"""Named instants at which a test may kill the process, to show that the next run mends it."""

import os
import signal


def reached(name: str) -> None:
    """Do nothing, unless the environment asks for this process to die at this very instant."""
    if os.environ.get("BOATHOUSE_KILL_AT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
