"""`python -m benchmarks [NAME …] [--quick] [--work FOLDER]`: measure, and write the document."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import BENCHMARKS, main_job
from benchmarks.measure import REPOSITORY, Bench, BenchmarkError, tell
from benchmarks.report import update

DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"


def main() -> int:
    """Run what was asked for; returns 1 when a benchmark could not be run."""
    options = _options()
    signal.signal(signal.SIGTERM, _stop)
    failed = False
    sections: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="boathouse-benchmarks-", dir=options.work) as work:
        bench = Bench(Path(work).absolute(), options.quick)
        main_job.warm_up(bench)
        for name in options.names or BENCHMARKS:
            tell(name)
            try:
                section = BENCHMARKS[name](bench)
            except BenchmarkError as error:
                failed = True
                tell(f"  ✗ {error}")
                continue
            sections[name] = section.as_markdown(name)
            if not options.quick:
                update(options.output, sections, list(BENCHMARKS))
    print("\n\n".join(sections.values()))
    return 1 if failed else 0


def _stop(*_: object) -> None:
    tell("stopped by SIGTERM")
    sys.exit(1)  # rather than at once, so that the work folder is removed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to try it; prints and writes nothing"
    )
    parser.add_argument("--work", type=Path, help="folder for temporary files")
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="the document to write")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
