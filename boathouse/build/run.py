"""A build: dbt over the lake, under the writer lock, reported in Boathouse's terms.

Results reach `meta.builds` and `meta.build_results` through dbt's own hooks (see
`macros/builds/record_build.sql`), so that `dbt build` typed by hand counts in the same way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boathouse import held, lock
from boathouse.build import dbt
from boathouse.build.manifest import Manifest, prepare_manifest
from boathouse.build.nodes import vouching_for
from boathouse.build.report import BuildReport, NodeProgress, NodeResult, OnProgress
from boathouse.build.tested import tested_up_to
from boathouse.errors import BuildError, UsageError
from boathouse.settings import Settings, using

# Parsing has checked dbt's version and has written the manifest; a build need not do so again.
_LEAN = (
    *("--no-version-check", "--no-write-json"),
    *("--exclude-resource-type", "exposure"),  # who uses what is nothing to build
    "--cache-selected-only",  # looking at every schema costs more than a small build
    *("--log-level-file", "info"),
)


@lock.starting_over
def run_build(
    settings: Settings,
    *,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    full_refresh: bool = False,
    tested_load: int = 0,
    command: str = "boathouse build",
    on_progress: OnProgress | None = None,
    manifest: Manifest | None = None,
    is_warm: bool | None = None,
) -> BuildReport:
    """Run `dbt build` and return what came out, green or not: see `BuildReport.require_green`.

    Args:
        settings: Which home and project.
        select: What to build, in dbt's selection syntax; everything when empty.
        exclude: What to leave out of it, in the same syntax.
        full_refresh: Make incremental models anew from all of raw.
        tested_load: Up to which load a green build has tested the rows of raw; tests of sources
            look at later ones only.
        command: What `meta.builds` says started it, unless the lock is held already by more.
        on_progress: Called when a node starts and when it has finished, maybe in another thread.
        manifest: From `prepare_manifest`.
        is_warm: Whether dbt keeps its connection open afterwards, for the next build with this
            manifest; by default when there is one.

    Raises:
        BuildError: dbt could not run at all, or was told to select what is not there.
        LockTimeoutError: another writer was not done in time.
        LockLostError: that of a shared catalogue was lost again and again.
        KeyboardInterrupt: a person stopped it; nothing is released until the next green build.
    """
    with lock.writer(settings, command), using(settings):
        watch = dbt.Stopwatch()
        dbt.close_stale_connection(settings, manifest)
        try:
            project = manifest or prepare_manifest(settings)
            _forget_compiled(project)
            with vouching_for(project.nodes, project.files), tested_up_to(tested_load):
                ran = dbt.invoke(
                    "build",
                    [*_LEAN, *_options(select, exclude, full_refresh)],
                    settings,
                    manifest=project.parsed,
                    on_event=_Follower(watch, on_progress),
                )
            if not ran.results:
                raise UsageError(
                    f"Nothing in the project matches {_selection(select, exclude)}.",
                    hint="`dbt ls --select …` shows what a selection matches.",
                )
            report = _report(ran.results, watch, settings)
            if not report.is_green:
                lock.require(settings)
                held.note(settings, report.failed or report.results)
        except BaseException:
            dbt.close_connection()
            raise
        if manifest is None or is_warm is False:
            dbt.close_connection()
        else:
            dbt.keep_connection(settings, manifest, report.build_id)
        return report


def _options(select: Sequence[str], exclude: Sequence[str], full_refresh: bool) -> list[str]:
    options = ["--full-refresh"] if full_refresh else []
    options += [part for each in select for part in ("--select", each)]
    return options + [part for each in exclude for part in ("--exclude", each)]


def _selection(select: Sequence[str], exclude: Sequence[str]) -> str:
    chosen = " ".join(select) or "everything"
    return f"“{chosen}” without “{' '.join(exclude)}”" if exclude else f"“{chosen}”"


def _forget_compiled(manifest: Manifest) -> None:
    """Make dbt compile ephemeral models again, which it would take from the last build."""
    for node in manifest.parsed.nodes.values():
        if getattr(node, "extra_ctes_injected", False):
            node.compiled = False
            node.extra_ctes_injected = False
            node.extra_ctes = []


class _Follower:
    """Turns dbt's events into progress."""

    takes = frozenset({"LogStartLine", "NodeFinished"})

    def __init__(self, watch: dbt.Stopwatch, on_progress: OnProgress | None) -> None:
        self._watch = watch
        self._on_progress = on_progress
        self._places: dict[str, int] = {}
        self._total = 0

    def __call__(self, event: Any) -> None:
        if event.info.name == "LogStartLine":
            node = event.data.node_info
            self._places[node.unique_id] = len(self._places) + 1
            # dbt counts unit tests twice in its total, and not at all among what is selected.
            self._total = (event.data.total + dbt.selected()) // 2
            self._tell(node, "started", 0.0)
        elif event.info.name == "NodeFinished":
            result = event.data.run_result
            self._tell(event.data.node_info, result.status, result.execution_time)

    def _tell(self, node: Any, status: str, seconds: float) -> None:
        self._watch.take()
        if self._on_progress is not None and node.unique_id in self._places:
            place, kind = self._places[node.unique_id], str(node.resource_type)
            total = max(place, self._total)
            self._on_progress(NodeProgress(node.node_name, kind, status, place, total, seconds))


def _report(results: Sequence[Any], watch: dbt.Stopwatch, settings: Settings) -> BuildReport:
    first, last = watch.first or watch.seconds, watch.last or watch.seconds
    broken = [r for r in results if r.node.resource_type == "operation" and not _is_done(r)]
    if broken:
        raise BuildError(
            f"dbt could not note the build in the lake: {broken[0].message}",
            hint="See macros/builds/record_build.sql.",
        )
    return BuildReport(
        build_id=dbt.last_build(),
        results=tuple(_result(r) for r in results if r.node.resource_type != "operation"),
        start_seconds=first,
        node_seconds=last - first,
        seconds=watch.seconds,
        compiled=dbt.Folders(settings).compiled,
    )


def _is_done(result: Any) -> bool:
    return str(result.status) == "success"


def _result(result: Any) -> NodeResult:
    node = result.node
    return NodeResult(
        unique_id=node.unique_id,
        name=node.name,
        kind=str(node.resource_type),
        status=str(result.status),
        seconds=result.execution_time,
        message=result.message or "",
        path=Path(node.original_file_path),
        failures=result.failures,
    )
