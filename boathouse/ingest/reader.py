"""The process that reads files for another one (`apart`), which gives it the end of a pipe."""

import os
import pickle
import sys
import threading
import time
from multiprocessing.connection import Connection

import duckdb

from boathouse.ingest import reading
from boathouse.ingest.apart import ReaderError, too_much_memory
from boathouse.ingest.reading import Found
from boathouse.surroundings import is_full_disk

PARENT_SECONDS = 0.5


def serve(line: Connection) -> None:
    """Read what is asked for, until whoever asks has gone."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    while True:
        try:
            job = line.recv()
        except EOFError:
            return
        answer: Found | Exception
        try:
            answer = reading.read(job)
        except Exception as error:
            is_memory = isinstance(error, duckdb.OutOfMemoryException) and not is_full_disk(error)
            answer = too_much_memory(job.settings) if is_memory else _portable(error)
        line.send(answer)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return an error, or what it says where it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ReaderError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
