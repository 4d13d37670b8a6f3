"""How a step runs the core: who is told to hold the lock, what is tried again, what is not."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import AssetExecutionContext, Failure, OpExecutionContext, RetryRequested

from boathouse.errors import BoathouseError

POOL = "lake"  # one writing run at a time; see the pools in `instance`
RETRIES = 4
FIRST_PAUSE_SECONDS = 5


Context = OpExecutionContext | AssetExecutionContext


def command_of(context: Context) -> str:
    """Return what others see who wait for the lock, and what `meta.builds` keeps."""
    return f"dagster run {context.run.run_id[:8]}"


@contextmanager
def core_errors(context: Context) -> Iterator[None]:
    """Try the step again, later and later, after what may pass; fail it at once after the rest.

    Raises:
        RetryRequested: somebody else kept the lake busy.
        Failure: a contract, a model or a test is bad; trying again would not mend it.
    """
    try:
        yield
    except BoathouseError as error:
        if error.is_transient and context.retry_number < RETRIES:
            pause = FIRST_PAUSE_SECONDS * 2**context.retry_number
            context.log.warning(f"{error.message} Trying again in {pause} s.")
            raise RetryRequested(max_retries=RETRIES, seconds_to_wait=pause) from error
        raise Failure(str(error), allow_retries=False) from error
