"""What a person may name to be compared: a release, an environment, a released file."""

from dataclasses import dataclass
from pathlib import Path

from boathouse.environments import place
from boathouse.errors import UsageError
from boathouse.release.about import read_info
from boathouse.release.files import current_release, kept_ids, kept_path
from boathouse.settings import Settings


@dataclass(frozen=True)
class Side:
    """One of the two sides of a comparison."""

    name: str  # as it was given
    label: str  # as it is shown
    path: Path
    release_id: int | None  # None for a file that is no release of ours


def find_side(settings: Settings, name: str) -> Side:
    """Return the side that a name means.

    A number is a kept release of this home; the name of an environment, or `main` for the home
    that environments are in, means its current release; all else is the path of a DuckDB file.

    Raises:
        UsageError: there is nothing of that name, or nothing was released there.
    """
    if name.isdecimal():
        path = kept_path(settings, int(name))
        if not path.exists():
            kept = ", ".join(map(str, kept_ids(settings))) or "none"
            raise UsageError(
                f"Release {name} is not kept. Kept are: {kept}.",
                hint="`boathouse releases` lists them.",
            )
        return _file(name, path, f"release {name}")
    inside = (
        place.settings_at(settings, place.main_home(settings))
        if name == place.MAIN
        else place.of_name(settings, name)
    )
    if inside is not None:
        current = current_release(inside)
        if current is None:
            option = "" if name == place.MAIN else f" --env {name}"
            raise UsageError(
                f"Nothing was released in {name} yet.", hint=f"Run `boathouse{option} release`."
            )
        label = f"{name} (release {current.release_id})"
        return Side(name, label, current.path, current.release_id)
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join([place.MAIN, *place.names(settings)])
        raise UsageError(
            f"There is no release, environment or file {name!r}.",
            hint=f"Give a number (`boathouse releases`), one of {known}, or the path of a "
            "released .duckdb file.",
        )
    return _file(name, path.absolute(), str(path))


def _file(name: str, path: Path, label: str) -> Side:
    info = read_info(path)
    return Side(name, label, path, info.release_id if info else None)
