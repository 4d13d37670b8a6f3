"""The errors a person meets. Each says what happened, where, and what to do.

Anything else that reaches the command line is a defect of Boathouse itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boathouse.build.report import BuildReport


def chain(error: BaseException) -> "Iterator[BaseException]":
    """Yield an error and those it comes from, each once: libraries make circles of them."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is each for each in seen):
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__


class BoathouseError(Exception):
    """Base of all expected errors: a message (what and where) and a hint (what to do).

    `place` is what the error is about, in the same words each time: alerts tell troubles apart by
    it.
    """

    exit_code = 1
    is_transient = False  # trying the same again later may help, with nothing mended

    def __init__(self, message: str, *, hint: str = "", place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UnexpectedError(BoathouseError):
    """Something that nobody has foreseen: a defect of Boathouse, or of what it stands on."""

    is_transient = True

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"Unexpected: {type(error).__name__}: {error}",
            hint="What was loaded stays loaded. Run it again; please report it if it stays.",
            place=type(error).__name__,
        )


class UnreadError(BoathouseError):
    """Files were set aside for what nobody has foreseen; all others were loaded."""


class UsageError(BoathouseError):
    """A command was called with arguments that cannot be served."""

    exit_code = 2


class ContractError(BoathouseError):
    """A source's contract in the dbt YAML is missing, incomplete or contradicts itself."""


class LockTimeoutError(BoathouseError):
    """Another process held the writer lock for longer than this one may wait."""

    is_transient = True


class LakeError(BoathouseError):
    """The lake could not be opened, or an operation on it failed for good."""


class LakeBusyError(LakeError):
    """Somebody else kept the catalogue busy, or its server could not be reached."""

    is_transient = True


class LockLostError(LakeBusyError):
    """The lock of a shared catalogue was lost while it was held; nothing was written since."""


class IdentityError(LakeError):
    """Home, lake, catalogue and releases do not belong together, or are from a newer version."""


class DiskFullError(LakeError):
    """There is no space left, or the disk takes nothing any more."""


class DamagedError(LakeError):
    """The catalogue or a file of the lake is missing or is not what it was."""


class DeniedError(LakeError):
    """A file, a server or an object store does not let us in."""


class InTheWayError(LakeError):
    """Something else lies where a folder of the home has to be."""


class UnreachableError(LakeBusyError):
    """A server, an object store or a network drive does not answer."""


class ShortMemoryError(LakeError):
    """There was not enough memory."""

    is_transient = True


class BuildError(BoathouseError):
    """dbt could not run, or a model or test failed; `report` is then that of the build."""

    def __init__(
        self, message: str, *, hint: str = "", report: "BuildReport | None" = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class AlertError(BoathouseError):
    """An alert could not be sent on one of its channels."""


class ReleaseError(BoathouseError):
    """A release was refused or could not be written; the released file is as it was."""
