"""Releasing: only what passed every test, only as a whole, in one atomic step; and going back."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb

from boathouse import disk, held, identity, lake, lock, pulled, surroundings
from boathouse.build.blockers import Blocker, find_blockers, keep_latest_results
from boathouse.checkpoints import reached
from boathouse.contracts import load_contracts
from boathouse.errors import (
    BoathouseError,
    DiskFullError,
    LakeError,
    LockTimeoutError,
    ReleaseError,
)
from boathouse.lake import Lake
from boathouse.release import damage, files
from boathouse.release.about import About, Written, read_base
from boathouse.release.audit import audit
from boathouse.release.contents import read_contents
from boathouse.release.freshness import update_freshness
from boathouse.release.plan import Plan, Way, from_nothing, make_plan, touched
from boathouse.release.push import push
from boathouse.release.report import (
    MartReport,
    OnProgress,
    ReleaseInfo,
    ReleaseProgress,
    ReleaseReport,
)
from boathouse.release.shrinking import find_shrunk
from boathouse.release.write import write_file
from boathouse.settings import Settings
from boathouse.sql import constant, row

_COMMAND = "boathouse release"
_SHOWN = 20
# What DuckDB says when a disk is full or memory is short; anything else is a defect of ours.
_CANNOT_WRITE = (
    OSError,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.FatalException,
    duckdb.InternalException,
)
# A file that is mostly empty blocks is not worth starting from.
_MOST_FREE = 0.5


@lock.starting_over
def release(
    settings: Settings,
    *,
    keep_rollback: bool = False,
    allow_shrink: bool = False,
    on_progress: OnProgress | None = None,
) -> ReleaseReport:
    """Release the marts as they are in the lake, unless readers see exactly these already.

    After a rollback readers see an older release than the newest. When nothing has changed since
    the newest, this puts the newest back, because a person who asks for a release wants that;
    with `keep_rollback` it leaves the older one alone, which is right for jobs that run by
    themselves. New data is released in both cases.

    With `allow_shrink` also when marts have lost more rows than they may: see `find_shrunk`.

    Raises:
        ReleaseError: the lake is not in a state to be released, or the file could not be written.
            Readers go on seeing what they saw.
        LakeError: what it stands on has failed, such as a disk that is full; likewise.
        LockTimeoutError: another writer was not done in time.
    """
    with lock.writer(settings, _COMMAND):
        if not lake.exists(settings):
            raise _refusal([Blocker("Nothing has been built yet.")])
        files.tidy(settings)
        work = _Release(settings, keep_rollback, allow_shrink, on_progress)
        try:
            with lake.connect(settings) as opened:
                report = work.run(opened)
            held.clear(settings)
            return report
        except (*_CANNOT_WRITE, DiskFullError) as error:
            raise _unwritten(error, settings) from error
        finally:
            files.tidy(settings)


def _unwritten(error: Exception, settings: Settings) -> BoathouseError:
    """Return the error of a release that could not be written."""
    told = error if isinstance(error, BoathouseError) else None
    expected = told or surroundings.as_expected(error, settings)
    readers = "Readers see one whole release: `boathouse releases` says which."
    if expected is None:
        return ReleaseError(
            f"The release could not be made: {error}",
            hint=f"{readers} Run `boathouse release` again.",
        )
    newest = files.kept_ids(settings)[-1:] if isinstance(expected, DiskFullError) else []
    size = disk.used(files.kept_path(settings, each) for each in newest)
    takes = f". The last one takes {disk.shown(size)}, twice: once for readers." if size else ""
    return type(expected)(
        f"The release could not be made. {expected.message}{takes}",
        hint=f"{expected.hint} {readers}",
        place=expected.place,
    )


@dataclass
class _Release:
    """One call of `release`."""

    settings: Settings
    keep_rollback: bool
    allow_shrink: bool
    on_progress: OnProgress | None
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, opened: Lake) -> ReleaseReport:
        """Release if there is anything to release."""
        with self._timed("check"):
            blockers = find_blockers(opened)
            if blockers:
                held.note(self.settings, blockers)
                raise _refusal(blockers)
            kept = files.list_releases(self.settings)
            note_releases(opened, kept)
        with self._timed("freshness"):
            update_freshness(opened, self.settings.project)
            reached("release:freshness-noted")
        shown = next((each for each in kept if each.is_current), None)
        newest = kept[0] if kept else None
        if newest is not None and newest != shown:
            with self._timed("plan"):
                plan = self._plan(opened, newest)
            if not plan.has_changes:
                return self._go_forward(opened, shown, newest, plan)
        with self._timed("plan"):
            plan = self._plan(opened, shown)
        if shown is not None and not plan.has_changes:
            # A job does not read all of it each time that it finds nothing to do.
            if not self.keep_rollback:
                damaged = damage.of_release(shown)
                if damaged:
                    return self._make(opened, from_nothing(plan), damaged)
                files.mend_readers(self.settings, is_deep=True)
            return self._report(shown, plan, is_new=False, reason="Nothing has changed since.")
        if not self.allow_shrink:
            with self._timed("check"):
                self._require_rows(opened, plan, [shown] if shown is not None else kept)
        return self._make(opened, plan)

    def _require_rows(self, opened: Lake, plan: Plan, released: list[ReleaseInfo]) -> None:
        """Do nothing when no mart has lost more rows than it may since a release that reads."""
        changed = [step.relation for step in plan.steps if step.way is not Way.CARRY]
        base = plan.base or next(filter(None, map(read_base, released)), None)
        shrunk = find_shrunk(opened, changed, base, self.settings) if base is not None else []
        if shrunk:
            held.note(self.settings, shrunk)
            raise ReleaseError(
                "Marts lost many of their rows, and the release is held back:\n" + _lines(shrunk),
                hint="Look whether data is missing, and mend it. If it is as it should be: "
                "`boathouse release --allow-shrink`, or for good `meta.may_shrink` in the model's "
                "config. Readers still see the release before.",
                place=f"rows of {', '.join(each.node for each in shrunk)}",
            )

    def _plan(self, opened: Lake, start: ReleaseInfo | None) -> Plan:
        base = read_base(start) if start is not None else None
        return make_plan(opened, read_contents(opened), base)

    def _go_forward(
        self, opened: Lake, shown: ReleaseInfo | None, newest: ReleaseInfo, plan: Plan
    ) -> ReleaseReport:
        """Answer when the newest release shows the lake as it is, but readers do not see it."""
        if shown is not None and self.keep_rollback:
            reason = f"Rolled back to release {shown.release_id}; nothing has changed since."
            return self._report(shown, plan, is_new=False, reason=reason, is_rolled_back=True)
        damaged = damage.of_release(newest)
        if damaged:
            return self._make(opened, from_nothing(plan), damaged)
        lock.require(self.settings)
        with self._timed("swap"):
            files.show(self.settings, newest.release_id)
        with self._timed("note"):
            note_releases(opened, files.list_releases(self.settings))
        reason = f"Nothing has changed since release {newest.release_id}, which is back."
        return self._report(self._current(), plan, is_new=False, reason=reason)

    def _make(self, opened: Lake, plan: Plan, damaged: Sequence[str] = ()) -> ReleaseReport:
        """Write, audit and swap in a new release; `damaged` is what the one before has lost."""
        if plan.base is not None:
            with self._timed("verify"):
                carried = [each.before for each in plan.steps if each.way is not Way.FULL]
                lost = damage.of_file(plan.base.path, filter(None, carried))
                damaged = lost + damage.of_lookups(plan.base.path)
            if lost or plan.base.free_share > _MOST_FREE:
                plan = from_nothing(plan)
        home = identity.of_home(self.settings)
        assert home is not None  # whoever attaches the lake as the one writer sees to it
        about = About(
            lake=home.lake,
            release_id=self._next_id(opened),
            lake_snapshot=plan.contents.snapshot,
            snapshot_time=plan.contents.snapshot_time,
            build_id=opened.value("select max(build_id) from lake.meta.builds"),
            released_at=datetime.now(UTC).replace(tzinfo=None),
            sources=tuple(load_contracts(self.settings.project).values()),
        )
        path = files.temporary_path(self.settings, about.release_id)
        marts, written = self._write(opened, plan, about)
        with self._timed("audit"):
            self._tell("audit", len(plan.steps), len(plan.steps))
            audit(path, written, plan.contents.macros)
        reached("release:audited")
        # Another writer would have changed marts while they were read.
        lock.require(self.settings)
        with self._timed("swap"):
            files.publish(self.settings, about.release_id)
        with self._timed("note"):
            note_releases(opened, files.list_releases(self.settings), keep_results=True)
            reached("release:noted")
            files.prune(self.settings)
        return self._report(
            self._current(),
            plan,
            is_new=True,
            reason="Released.",
            marts=tuple(marts),
            damaged=tuple(damaged),
        )

    def _write(
        self, opened: Lake, plan: Plan, about: About
    ) -> tuple[list[MartReport], list[Written]]:
        done = iter(range(len(plan.steps)))
        with self._timed("write"):
            return write_file(
                opened.con,
                plan,
                files.temporary_path(self.settings, about.release_id),
                about,
                lambda name: self._tell(name, next(done), len(plan.steps)),
            )

    def _next_id(self, opened: Lake) -> int:
        noted = opened.value("select coalesce(max(release_id), 0) from lake.meta.releases")
        return int(max([noted, *files.kept_ids(self.settings)])) + 1

    def _current(self) -> ReleaseInfo:
        current = files.current_release(self.settings)
        assert current is not None
        return current

    def _report(
        self,
        shown: ReleaseInfo,
        plan: Plan,
        *,
        is_new: bool,
        reason: str,
        is_rolled_back: bool = False,
        marts: tuple[MartReport, ...] = (),
        damaged: tuple[str, ...] = (),
    ) -> ReleaseReport:
        return ReleaseReport(
            release=shown,
            is_new=is_new,
            is_rolled_back=is_rolled_back,
            reason=reason,
            marts=marts,
            left_out=tuple(plan.contents.left_out),
            damaged=damaged,
            seconds=self.seconds,
        )

    def _tell(self, step: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(ReleaseProgress(step, done, total))

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


def held_back(opened: Lake, settings: Settings) -> list[Blocker]:
    """Return every reason why the lake as it is would not be released; changes nothing."""
    blockers = find_blockers(opened)
    if blockers:
        return blockers
    kept = files.list_releases(settings)
    shown = [each for each in kept if each.is_current]
    base = next(filter(None, map(read_base, shown or kept)), None)
    if base is None:
        return []
    try:
        contents = read_contents(opened)
    except ReleaseError as error:
        return [Blocker(error.message)]
    return find_shrunk(opened, touched(opened, contents, base), base, settings)


def _lines(blockers: list[Blocker]) -> str:
    lines = [f"  {blocker}" for blocker in blockers[:_SHOWN]]
    if len(blockers) > _SHOWN:
        lines.append(f"  … and {len(blockers) - _SHOWN} more")
    return "\n".join(lines)


def _refusal(blockers: list[Blocker]) -> ReleaseError:
    return ReleaseError(
        "The lake is not in a state to be released:\n" + _lines(blockers),
        hint="Run `boathouse build`; once it is green, release again. "
        "Readers still see the release before.",
    )


def note_releases(opened: Lake, kept: list[ReleaseInfo], *, keep_results: bool = False) -> None:
    """Make `meta.releases` say what the files say: which releases there are, which is current."""
    noted = dict(opened.rows("select release_id, is_current from lake.meta.releases"))
    current = {each.release_id for each in kept if each.is_current}
    missing = [each for each in kept if each.release_id not in noted]
    wrong = [number for number, is_current in noted.items() if is_current != (number in current)]
    if not (missing or wrong or keep_results):
        return

    def write(con: duckdb.DuckDBPyConnection) -> None:
        for number in wrong:
            con.execute(
                f"update lake.meta.releases set is_current = {constant(number in current)} "
                f"where release_id = {number}"
            )
        for each in missing:
            facts = (each.release_id, each.lake_snapshot, each.build_id, each.released_at)
            con.execute(
                "insert into lake.meta.releases "
                "(release_id, lake_snapshot, build_id, released_at, is_current) "
                f"values {row((*facts, each.is_current))}"
            )
        if keep_results:
            keep_latest_results(con)

    opened.write(write, "note the releases")


def rollback(settings: Settings, release_id: int | None = None) -> ReleaseInfo:
    """Put an earlier release back, by default the one before the current, and return it.

    Readers see it at once, even while another process writes: `meta.releases` is then left to
    whoever releases next. A release that is just being made still comes after it. Those who pull
    from `BOATHOUSE_RELEASES` see it, too.

    Raises:
        ReleaseError: it is not kept (says which are), or is damaged; or it was pulled.
        IdentityError, DeniedError, UnreachableError: see `push`; readers here see it.
    """
    if address := pulled.source(settings):
        raise ReleaseError(
            f"The releases here are pulled from {address}.",
            hint="`boathouse rollback` where they are made, and whoever pulls sees it.",
        )
    files.name_shown(settings)
    kept = files.list_releases(settings)
    current = files.current_id(settings)
    chosen = _choose(kept, current, release_id)
    if chosen.release_id != current:
        damaged = damage.of_release(chosen)
        if damaged:
            raise ReleaseError(
                f"Release {chosen.release_id} is damaged: {'; '.join(damaged)}.",
                hint="Readers see what they saw. Name another one, or make a new release with "
                "`boathouse release`.",
            )
        files.show(settings, chosen.release_id)
        reached("rollback:shown")
    at_once = settings.model_copy(update={"lock_timeout": 0})
    # Readers get it also where the catalogue is lost, damaged, or another one, or does not answer.
    with suppress(LakeError, LockTimeoutError):
        if lake.exists(settings):
            with (
                lock.writer(at_once, "boathouse rollback", on_wait=lambda _: None),
                lake.connect(settings) as opened,
            ):
                note_releases(opened, files.list_releases(settings))
    push(settings, is_asked=True)
    shown = files.current_release(settings)
    assert shown is not None
    return shown


def _choose(kept: list[ReleaseInfo], current: int | None, release_id: int | None) -> ReleaseInfo:
    earlier = [each for each in kept if current is None or each.release_id < current]
    if release_id is None and earlier:
        return earlier[0]
    for each in kept:
        if each.release_id == release_id:
            return each
    what = "No release is older" if release_id is None else f"Release {release_id} is not kept"
    listed = ", ".join(
        f"{each.release_id} ({each.released_at:%Y-%m-%d %H:%M} UTC)" for each in kept
    )
    raise ReleaseError(
        f"{what}. Kept are: {listed or 'none'}.",
        hint="`boathouse releases` lists them; BOATHOUSE_RELEASES_KEPT says how many are kept.",
    )
