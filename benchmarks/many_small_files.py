"""Many small CSV files into the lake, beside a loop in pandas and DuckDB alone."""

import time
from pathlib import Path

from benchmarks import homes
from benchmarks.measure import Bench, BenchmarkError, Facts, Samples, Task, tell
from benchmarks.report import Limit, Row, Section, spread

SOURCE = "student_performance"
ROWS_A_FILE = 395
FILE_BYTES = 57_000
MEMORY_LIMIT_MIB = 4096
MOST_GROWTH = 1.3

INTRODUCTION = """\
Copies of `student-mat.csv` (395 rows, 33 columns, 55 KB) under different names. **Boathouse**:
`boathouse.ingest.loader.load` into a lake that has its tables and no rows: each file is hashed and
checked against its contract, its rows, its rejects and its ledger entry are committed, the
original is moved to the archive. **pandas**: for each file `read_csv`, `dropna`, text to lower
case, `drop_duplicates`, `to_parquet`. **Bare DuckDB**: one `copy (select * from read_csv(…))` of
all files into one Parquet file, with types, delimiter and quote given and no sniffing."""

NUMBERS = frozenset(
    (
        *("age", "Medu", "Fedu", "traveltime", "studytime", "failures", "famrel", "freetime"),
        *("goout", "Dalc", "Walc", "health", "absences", "G1", "G2", "G3"),
    )
)


def run(bench: Bench) -> Section:
    """Measure all sizes."""
    few, more, many = bench.size(999, 50), bench.size(9_990, 200), bench.size(99_900, 500)
    section = Section(INTRODUCTION)
    with bench.folder("files") as files:
        homes.copy_student_files(files, few)
        given = {"files": str(files)}
        found = bench.compare(
            {
                "Boathouse": _load_task(bench, few),
                "pandas": Task(pandas_loop, arguments=given),
                "bare DuckDB": Task(bare_duckdb, arguments=given),
                "bare DuckDB, sniffing": Task(bare_duckdb, arguments={**given, "sniff": True}),
                "making the lake's tables, once in a home's life": Task(homes.make_lake),
            },
            repetitions=bench.size(5, 2),
        )
    ours = found["Boathouse"]
    pandas, bare = found["pandas"].median(), found["bare DuckDB"].median()
    faster, slower = pandas / ours.median(), ours.median() / bare
    size = f"{few:,} files"
    section.rows += [Row.of(name, size, samples) for name, samples in found.items()]
    section.rows += [
        Row("pandas ÷ Boathouse", size, (), f"{faster:.1f} ×", Limit.at_least(faster, 10)),
        Row("Boathouse ÷ bare DuckDB", size, (), f"{slower:.1f} ×", Limit.at_most(slower, 4)),
    ]
    imports = ", ".join(
        f"{name} {spread(samples.values('import_seconds'))} s"
        for name, samples in found.items()
        if "import_seconds" in samples.each[0].facts
    )
    section.notes.append(f"Importing, which does not count above: {imports}.")
    for count, repetitions in ((more, bench.size(3, 1)), (many, 1)):
        section.rows += _at_size(bench, count, repetitions, few, ours)
    return section


def _load_task(bench: Bench, count: int) -> Task:
    def prepare(folder: Path) -> None:
        bench.call(homes.make_lake, folder=folder)
        homes.copy_student_files(homes.landing(folder, SOURCE), count)

    return Task(load, prepare, {"count": count})


def _at_size(bench: Bench, count: int, repetitions: int, few: int, ours: Samples) -> list[Row]:
    """Return what a larger number of files costs, per file compared with a few."""
    bench.need_disk(1.3 * count * FILE_BYTES)
    tell(f"  {count:,} files")
    samples = bench.compare({"Boathouse": _load_task(bench, count)}, repetitions)["Boathouse"]
    growth = (samples.median() / count) / (ours.median() / few)
    size = f"{count:,} files"
    memory = Limit.at_most(samples.peak_mib, MEMORY_LIMIT_MIB, " MiB")
    return [
        Row.of("Boathouse", size, samples),
        Row(
            f"seconds per file ÷ those of {few:,} files",
            size,
            ratio=f"{growth:.2f} ×",
            limit=Limit.at_most(growth, MOST_GROWTH),
        ),
        Row("peak memory", size, limit=memory, peak_mib=samples.peak_mib),
    ]


def load(folder: str, count: int) -> Facts:
    """Load all that waits."""
    started = time.perf_counter()
    from boathouse.contracts import load_contracts
    from boathouse.ingest.loader import load as load_files

    settings = homes.settings_in(folder)
    contracts = load_contracts(settings.project)
    imported = time.perf_counter()
    report = load_files(settings, contracts)
    done = time.perf_counter()
    rows = report.sources[SOURCE].rows_loaded
    archived = sum(1 for path in settings.archive_folder.rglob("*.csv") if path.is_file())
    if (rows, archived) != (count * ROWS_A_FILE, count):
        raise BenchmarkError(f"{rows} rows loaded and {archived} of {count} files archived")
    return {"seconds": done - imported, "import_seconds": imported - started}


def pandas_loop(folder: str, files: str) -> Facts:
    """Tidy each file and write it as Parquet."""
    started = time.perf_counter()
    import pandas as pd
    import pyarrow.parquet  # noqa: F401 - to_parquet would import it in the first file

    imported = time.perf_counter()
    for path in sorted(Path(files).iterdir()):
        frame = pd.read_csv(path, sep=";").dropna()
        for column in frame.select_dtypes(["object", "string"]).columns:
            frame[column] = frame[column].str.lower()
        frame.drop_duplicates().to_parquet(Path(folder) / f"{path.stem}.parquet")
    return {"seconds": time.perf_counter() - imported, "import_seconds": imported - started}


def bare_duckdb(folder: str, files: str, sniff: bool = False) -> Facts:
    """Read all files into one Parquet file."""
    started = time.perf_counter()
    import duckdb

    imported = time.perf_counter()
    with duckdb.connect(config={"memory_limit": homes.MEMORY_LIMIT}) as con:
        reading = f"'{files}/*.csv'" if sniff else f"'{files}/*.csv', {_explicit()}"
        target = Path(folder) / "all.parquet"
        con.execute(f"copy (select * from read_csv({reading})) to '{target}' (format parquet)")
    seconds = time.perf_counter() - imported
    return {"seconds": seconds, "import_seconds": imported - started}


def _explicit() -> str:
    header = homes.student_file().read_text().partition("\n")[0].strip().split(";")
    types = ", ".join(f"'{c}': '{'INTEGER' if c in NUMBERS else 'VARCHAR'}'" for c in header)
    return (
        "auto_detect = false, delim = ';', quote = '\"', escape = '\"', header = true, "
        f"columns = {{{types}}}"
    )
