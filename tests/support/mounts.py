"""Small and read-only disks for tests: real ones, which only a process and its children see.

No root is needed where Linux gives everybody namespaces of users and mounts.
"""

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

_NAMESPACE = ("unshare", "--map-root-user", "--mount", "sh", "-c")


def on_small_disk(folder: Path, megabytes: int, command: Sequence[str]) -> list[str]:
    """Return the command that runs another one, for which `folder` is a disk of this size.

    The test is skipped where nobody may mount anything.
    """
    _require_mounts()
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs "$0" && exec "$@"'
    return [*_NAMESPACE, mount, str(folder), *command]


def on_read_only(folder: Path, command: Sequence[str]) -> list[str]:
    """Return the command that runs another one, for which nothing may be written in `folder`.

    The test is skipped where nobody may mount anything.
    """
    _require_mounts()
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return [*_NAMESPACE, mount, str(folder), *command]


def _require_mounts() -> None:
    if trouble := _trouble():
        pytest.skip(f"no disk can be mounted here: {trouble}")


@cache
def _trouble() -> str:
    try:
        done = subprocess.run(
            [*_NAMESPACE, "mount -t tmpfs tmpfs /mnt"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or "mount has failed"
