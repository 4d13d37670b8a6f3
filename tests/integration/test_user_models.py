"""Models that nobody made to fit, with deliveries, edits and mishaps in any order.

After each run, what is released is what the models' SQL says of all rows of raw.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import houses
import pytest
import shops
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.command import PATIENCE_SECONDS
from support.homes import clone, copy_project

from boathouse import lock, pipeline
from boathouse.build import Manifest, dbt, nodes, prepare_manifest, project_hash, run_build
from boathouse.settings import Settings, using

MODELS = ("first", "second", "third")
SOURCES = {"lefts": ("a", "b", "v"), "rights": ("c", "d", "w")}
# Every relation has the columns k, n and x, so that each form fits on each: {p} is a parent, {q}
# another, {c} a number that an edit changes. Many of them lead a key where no filter may follow.
FORMS = {
    "grouped": "select k, count(*) as n, sum(x) as x from {p} where x > {c} group by k",
    "regrouped": "select n as k, count(*) as n, max(x) + {c} as x from {p} group by n",
    "filtered": "select k, n, x + {c} as x from {p} where n > 1",
    "distinct": "select distinct k, n, x * {c} as x from {p}",
    "latest": "select k, count(*) as n, sum(x) + {c} as x from (select *, row_number() over "
    "(partition by n order by x desc nulls last, k nulls last) as place from {p}) "
    "where place = 1 group by k",
    "latest_of_key": "select k, n, x + {c} as x from (select *, row_number() over "
    "(partition by k order by x desc nulls last, n nulls last) as place from {p}) where place = 1",
    "joined": "select l.k, count(*) as n, sum(r.x) + {c} as x from {p} as l "
    "left join {q} as r on l.k = r.k group by l.k",
    "joined_elsewhere": "select l.k, count(*) as n, sum(r.x) + {c} as x from {p} as l "
    "left join {q} as r on l.n = r.k group by l.k",
    "key_of_the_other": "select r.k, count(*) as n, sum(l.x) + {c} as x from {p} as l "
    "left join {q} as r on l.n = r.k group by r.k",
    "inner": "select r.n as k, count(*) as n, sum(l.x + r.x) + {c} as x from {p} as l "
    "inner join {q} as r on l.k = r.k group by r.n",
    "full": "select coalesce(l.k, r.k) as k, coalesce(l.n, 0) + coalesce(r.n, 0) as n, {c} as x "
    "from (select k, count(*) as n from {p} group by k) as l "
    "full join (select k, count(*) as n from {q} group by k) as r on l.k = r.k",
    "both": "select k, count(*) as n, sum(x) + {c} as x from "
    "(select k, x from {p} union all select n as k, x from {q}) group by k",
    "known": "select k, count(*) as n, max(x) + {c} as x from {p} "
    "where n in (select k from {q}) group by k",
    "lonely": "select k, count(*) as n, max(x) + {c} as x from {p} as l "
    "where not exists (select 1 from {q} as r where r.k = l.k) group by k",
    "share": "select k, n, sum(x) over () + {c} as x from {p}",
    "running": "select k, n, sum(x) over (partition by k order by n, x) + {c} as x from {p}",
    "first_three": "select k, n, x + {c} as x from {p} order by all limit 3",
}
# Models that combine: the rules, and the same in plain SQL. Some are touched by more than one row.
COMBINED = {
    "combined": (
        "by='k', columns={'n': 'sum', 'x': 'max'}",
        "select k, 1 as n, x + {c} as x from {rows}",
        "select k, cast(sum(n) as bigint) as n, max(x) as x from ({block}) group by k",
    ),
    "combined_first": (
        "by='k', columns={'x': 'min', 'n': 'first by x'}",
        "select k, n + {c} as n, x from {rows} where n is not null or x > 1",
        "select k, (min({{'x': x, 'n': n}}) filter (where x is not null)).n as n, min(x) as x "
        "from ({block}) group by k",
    ),
    "combined_last": (
        "by=['k', 'n'], columns={'x': 'max'}",
        "select n as k, k as n, x from {rows}",
        "select k, n, max(x) as x from ({block}) group by k, n",
    ),
    "combined_of_key": (
        "by='k', columns={'n': 'sum', 'x': 'sum'}",
        "select distinct k, n, x + {c} as x from {rows}",
        "select k, cast(coalesce(sum(n), 0) as bigint) as n, "
        "cast(coalesce(sum(x), 0) as bigint) as x from ({block}) group by k",
    ),
}
CELL = st.one_of(st.none(), st.integers(0, 4))
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=5)


@dataclass(frozen=True)
class Written:
    """A model as it stands in the project."""

    form: str
    parents: tuple[str, str]
    number: int
    materialized: str

    @property
    def text(self) -> str:
        """Return its SQL with its config."""
        config = {
            "touched": "materialized='incremental', incremental_strategy='touched', "
            "unique_key='k', ",
            "table": "materialized='table', ",
            "view": "materialized='view', ",
        }[self.materialized]
        parts = [f"{{{{ ref('{name}') }}}}" for name in self.parents]
        if self.form in COMBINED:
            return f"{{{{ config({config}contract={{'enforced': false}}) }}}}\n{self._combined}"
        sql = FORMS[self.form].format(p="left_side", q="right_side", c=self.number)
        return (
            f"{{{{ config({config}contract={{'enforced': false}}) }}}}\n"
            f"with left_side as (select k, n, x from {parts[0]}),\n"
            f"right_side as (select k, n, x from {parts[1]}),\n"
            f"made as ({sql})\n"
            "select cast(k as bigint) as k, cast(n as bigint) as n, cast(x as bigint) as x "
            "from made\n"
        )

    @property
    def _combined(self) -> str:
        rules, block, plain = COMBINED[self.form]
        parent = f"ref('{self.parents[0]}')"
        rows = block.format(c=self.number, rows=f"{{{{ {parent} }}}}")
        counts = "n" if "'n': 'sum'" not in rules else "cast(n as bigint) as n"
        values = "x" if "'x': 'sum'" not in rules else "cast(x as bigint) as x"
        return (
            f"{{#- plain: {plain.format(block=rows)} -#}}\n"
            f"select k, {counts}, {values} from (\n"
            f"{{% call(rows) combined({parent}, {rules}) %}}\n"
            f"{block.format(c=self.number, rows='{{ rows }}')}\n"
            "{% endcall %}\n) as made\n"
        )


@st.composite
def written(draw: st.DrawFn, place: int) -> Written:
    """Return a model that reads staging views or models before it."""
    parents = st.sampled_from(["stg_lefts", "stg_rights", *MODELS[:place], *MODELS[:place]])
    return Written(
        draw(st.sampled_from(sorted([*FORMS, *COMBINED, *COMBINED]))),
        (draw(parents), draw(parents)),
        draw(st.integers(0, 3)),
        draw(st.sampled_from(["touched", "touched", "touched", "table", "view"])),
    )


DELIVERY = st.tuples(st.just("deliver"), st.sampled_from(sorted(SOURCES)), st.integers(0, 2), ROWS)
STEP = st.one_of(
    DELIVERY,
    DELIVERY,
    DELIVERY,
    st.integers(0, 2).flatmap(lambda n: st.tuples(st.just("edit"), st.just(n), written(n))),
    st.tuples(st.just("cut"), st.sampled_from(["--empty", "--sample"])),
    st.tuples(st.just("part"), st.sampled_from(MODELS)),
    st.tuples(st.just("load")),
    st.tuples(st.just("killed"), st.integers(1, 4)),
    st.tuples(st.just("run")),
    st.tuples(st.just("run")),
)


@pytest.fixture
def template(tmp_path: Path) -> Settings:
    """Return settings for a project without marts, which dbt has parsed into its home.

    Where only the marts are others, dbt then parses them alone.
    """
    settings = Settings(
        project=copy_project(tmp_path / "project", []),
        home=tmp_path / "data",
        settle_seconds=0,
        threads=1,
    )
    staging = settings.project / "models" / "staging" / "own"
    staging.mkdir(parents=True)
    tables = []
    for name, columns in SOURCES.items():
        tables.append(
            f"      - name: {name}\n"
            f"        config: {{meta: {{landing: {{files: '{name}*.csv', format: csv}}}}}}\n"
            "        columns:\n"
            + "".join(f"          - {{name: {each}, data_type: bigint}}\n" for each in columns)
        )
        first, second, third = columns
        (staging / f"stg_{name}.sql").write_text(
            "{{ config(event_time='_loaded_at') }}\n"
            f"select {first} as k, {second} as n, {third} as x, _loaded_at "
            f"from {{{{ source('raw', '{name}') }}}}\n"
        )
    (staging / "_own__sources.yml").write_text(
        "sources:\n  - name: raw\n    schema: raw\n    tables:\n" + "".join(tables)
    )
    prepare_manifest(settings)
    return settings


class World:
    """A project with models of somebody's own, and its home."""

    def __init__(self, template: Settings, home: Path, models: Sequence[Written]) -> None:
        """Write the models into the project; the home is a new one."""
        self.settings = clone(template, home)
        self.marts = self.settings.project / "models" / "marts" / "own"
        self.marts.mkdir(exist_ok=True, parents=True)
        for place, model in enumerate(models):
            self.write(place, model)
        self._manifest: Manifest | None = None

    def write(self, place: int, model: Written) -> None:
        """Write a model anew."""
        (self.marts / f"{MODELS[place]}.sql").write_text(model.text)

    @property
    def manifest(self) -> Manifest:
        """Return the project as it is, parsed."""
        if self._manifest is None or self._manifest.files != project_hash(self.settings.project):
            self._manifest = prepare_manifest(self.settings)
        return self._manifest

    def deliver(self, source: str, file: int, rows: Sequence[Any]) -> None:
        """Put a file into landing; one of the same name is taken back when it is loaded."""
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        text = "\n".join([",".join(SOURCES[source]), *lines, ""])
        houses.put(self.settings, source, f"{source}_{file}.csv", text.encode())

    def cut(self, flag: str) -> None:
        """Build with inputs that lack rows."""
        options = [flag] if flag == "--empty" else [flag, "1 hour"]
        manifest = self.manifest
        with (
            lock.writer(self.settings, "a test"),
            using(self.settings),
            nodes.vouching_for(manifest.nodes, manifest.files),
        ):
            dbt.close_stale_connection(self.settings, manifest)
            dbt.invoke(
                "build",
                ["--no-write-json", *options],
                self.settings,
                manifest=manifest.parsed,
            )
            dbt.close_connection()

    def killed(self, count: int) -> None:
        """Run the main job in a process that ends in the middle, when some nodes are done."""
        code = (
            "import os\n"
            "from boathouse import pipeline\n"
            "left = [" + str(count) + "]\n"
            "def count(progress):\n"
            "    left[0] -= progress.status != 'started'\n"
            "    if left[0] <= 0: os._exit(9)\n"
            "try:\n"
            "    pipeline.run(settings, on_build=count)\n"
            "except Exception: pass\n"
        )
        with houses.python(self.settings, code) as process:
            process.communicate(timeout=PATIENCE_SECONDS)

    def run(self) -> None:
        """Run the main job, and compare what readers see with what they should see."""
        pipeline.run(self.settings, manifest=self.manifest)
        expected = shops.whole(self.settings, *MODELS)
        released = shops.released(self.settings, *MODELS)
        for name in MODELS:
            assert released[name] == expected[name], name

    def step(self, step: Sequence[Any]) -> None:
        """Do one of the things that happen."""
        match step:
            case ("deliver", source, file, rows):
                self.deliver(source, file, rows)
            case ("edit", place, model):
                self.write(place, model)
            case ("cut", flag):
                self.cut(flag)
            case ("part", model):
                shops.load_all(self.settings)
                run_build(self.settings, select=[model], manifest=self.manifest)
            case ("load",):
                shops.load_all(self.settings)
            case ("killed", count):
                self.killed(count)
            case ("run",):
                self.run()


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    models=st.tuples(written(0), written(1), written(2)),
    first=st.tuples(ROWS, ROWS),
    steps=st.lists(STEP, min_size=2, max_size=7),
)
def test_released_is_what_the_models_say_of_all_rows(
    template: Settings,
    models: tuple[Written, ...],
    first: tuple[Any, Any],
    steps: Sequence[Any],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(template, Path(folder) / "data", models)
        for source, rows in zip(sorted(SOURCES), first, strict=True):
            world.deliver(source, 0, rows)
        world.run()
        for step in steps:
            world.step(step)
        world.run()
