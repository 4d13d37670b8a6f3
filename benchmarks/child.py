"""The process that a measured function runs in: `python -m benchmarks.child request.json`."""

import importlib
import json
import sys
from pathlib import Path


def main(request_file: Path) -> None:
    """Call the function that the request names and write what it returns."""
    request = json.loads(request_file.read_text())
    module, _, name = request["function"].partition(":")
    answer = getattr(importlib.import_module(module), name)(**request["arguments"])
    Path(request["answer"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
