"""Dropping an environment: it loses its name at once, and its files after that."""

import shutil

from boathouse import lock
from boathouse.checkpoints import reached
from boathouse.environments import place
from boathouse.errors import LakeBusyError, LockTimeoutError, UsageError
from boathouse.settings import Settings


def drop(settings: Settings, name: str) -> None:
    """Delete an environment, or what is left of one; the main home's files stay as they are.

    Raises:
        UsageError: there is none of that name.
        LakeBusyError: somebody is writing in it.
    """
    place.check_name(name)
    place.require_main(settings)
    home = place.folder(settings) / name
    with place.guard(settings):
        place.sweep(settings)
        if not home.is_dir():
            known = ", ".join(place.names(settings)) or "none"
            raise UsageError(
                f"There is no environment {name!r} in {settings.home_folder}.",
                hint=f"There are: {known}.",
            )
        inside = place.settings_at(settings, home).model_copy(update={"lock_timeout": 0.0})
        gone = place.dropping(settings, name)
        if lock.held_here(inside):  # the lock would let this process in once more
            raise _busy(inside)
        try:
            with lock.writer(inside, "boathouse env drop", on_wait=lambda _: None):
                home.rename(gone)
        except LockTimeoutError as error:
            raise _busy(inside) from error
        reached("env:unnamed")
        shutil.rmtree(gone)


def _busy(settings: Settings) -> LakeBusyError:
    return LakeBusyError(
        f"Environment {settings.home_folder.name} is in use: "
        f"{lock.holder(settings) or 'another process'} is writing in it.",
        hint="Wait for it, or end it.",
    )
