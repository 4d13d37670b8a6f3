"""`python -m orchestration.check`: whether the project can be read; says which file is wrong.

A process of its own: what dbt imports would stay in the one that serves.
"""

import sys

from boathouse.errors import BoathouseError
from boathouse.settings import Settings
from orchestration.project import load_project


def main() -> int:
    """Return 0 when the definitions can be made of the project, else say why not."""
    try:
        load_project(Settings())
    except BoathouseError as error:
        print(f"✗ {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
