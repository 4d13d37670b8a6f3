"""How fast Boathouse is, each thing measured beside what it is compared with.

`python -m benchmarks` runs the benchmarks in `BENCHMARKS` and writes `docs/benchmarks.md`. Every
measured run is a process of its own (`measure`), so that imports, caches and peak memory of one
say nothing about another. A benchmark is a module with a function that returns a `Section`; the
functions in it that take a `folder` are what the processes run, and import what they measure
themselves, so that the measuring process stays small.
"""

from collections.abc import Callable

from benchmarks import (
    api,
    dashboard,
    demo_data,
    hostile_files,
    landing_to_release,
    main_job,
    many_small_files,
    more_domains,
    one_more_day,
    sessions_million,
    soak,
)
from benchmarks.measure import Bench
from benchmarks.report import Section

BENCHMARKS: dict[str, Callable[[Bench], Section]] = {
    "many_small_files": many_small_files.run,
    "sessions_million": sessions_million.run,
    "more_domains": more_domains.run,
    "one_more_day": one_more_day.run,
    "main_job": main_job.run,
    "landing_to_release": landing_to_release.run,
    "hostile_files": hostile_files.run,
    "demo": demo_data.run,
    "dashboard": dashboard.run,
    "api": api.run,
    "soak": soak.run,
}
"""Name, as it is typed and as its section is headed -> what runs it."""
