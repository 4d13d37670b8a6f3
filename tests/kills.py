"""Kills a thousand commands, or as many as one says: `make kills`, `make kills KILLS=50 SEED=7`.

A trial is repeated by its seed: `make kills KILLS=1 SEED=<seed>`. One that has failed leaves its
home where the last line says.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from support.kills import trials


def main() -> int:
    """Return 1 when any trial has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="boathouse-kills-"))
    print(f"{asked.kills} kills from seed {asked.seed} on, in {folder}", flush=True)
    failed = trials(folder, asked.kills, asked.seed, lambda line: print(line, flush=True))
    print(f"Failed: {failed or 'none'}. {folder} can be deleted.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
