"""No command shows the password of the catalogue's server, nor writes it anywhere."""

from pathlib import Path

import pytest
from dagster import DagsterInstance
from support import forked
from support.command import PATIENCE_SECONDS, House
from support.commands import COMMANDS
from support.postgres import ask, end_sessions, make_database, make_machines, settings_of

from boathouse import lake, lock
from boathouse.errors import LockLostError
from orchestration import running
from orchestration.definitions import build_definitions
from orchestration.project import load_project

SECRET = "open-sesame"
NOWHERE = (
    f"postgresql://ann:{SECRET}@127.0.0.1:1/lake",
    f"postgresql://ann@127.0.0.1:1/lake?password={SECRET}",
    f"postgres:host=127.0.0.1 port=1 user=ann password='{SECRET}' dbname=lake",
    "postgresql://ann@127.0.0.1:1/lake",  # with PGPASSWORD
    f"postgresql://ann:{SECRET}@[oops/lake",
    f"postgres:{SECRET}",
    f"mysql://ann:{SECRET}@db/lake",
)
ARGUMENTS = {
    ("api-key", "create"): ["game", "--scope", "sessions"],
    ("api-key", "revoke"): ["1"],
    ("diff",): ["1", "2"],
    ("env", "create"): ["dev"],
    ("env", "drop"): ["dev"],
    ("generate",): ["--scale", "0.001", "--source", "purchases"],
    ("restore",): ["nothing"],
    ("source", "new"): ["nothing.csv"],
    ("sql",): ["--lake", "select 1"],
}
ENDLESS = {("simulate", "vehicles"), ("watch",)}


def require_secrecy(folder: Path) -> None:
    """Check that no file in a folder has the password."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.fixture(scope="module")
def lost(machine: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Return a house whose catalogue's server nobody has started."""
    return make_machines(machine, tmp_path_factory.mktemp("secret"), "")[0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_shows_the_password_when_the_server_cannot_be_reached(
    command: tuple[str, ...], lost: House
) -> None:
    forms = NOWHERE if command in {("run",), ("status",)} else NOWHERE[:1]
    for address in forms:
        environment = {"BOATHOUSE_CATALOG": address, "PGPASSWORD": SECRET}
        if command in ENDLESS:
            with lost.running(*command, **environment) as process:
                stream = process.stderr if command == ("watch",) else process.stdout
                assert stream is not None
                shown = stream.readline()
        else:
            arguments = [*command, *ARGUMENTS.get(command, []), "--debug"]
            done = forked.run(
                ["boathouse", *arguments], **lost.how(environment), timeout=PATIENCE_SECONDS
            )
            shown = done.stdout + done.stderr
            assert command not in {("run",), ("status",)} or done.returncode in (1, 2), shown
        assert shown and SECRET not in shown
    if lost.home.exists():
        require_secrecy(lost.home.parent)


def test_no_log_of_dbt_has_the_password(lost: House) -> None:
    house = House(lost.project, lost.home, {"BOATHOUSE_CATALOG": NOWHERE[0]})
    done = house.dbt("--debug", "build", code=2)
    assert "BOATHOUSE_CATALOG" in done.stdout and SECRET not in done.stdout + done.stderr
    require_secrecy(house.home.parent)


def test_password_is_used_and_neither_shown_nor_kept(
    postgres: str, machine: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = make_database(postgres, "secretive").replace("postgres:@", f"postgres:{SECRET}@")
    assert SECRET in address
    house, _ = make_machines(machine, tmp_path, address)
    house.drop("purchases", "purchases_2023-08-01.csv", "PurchaseID,product,user,date\n")
    said = house.boathouse("run").stdout + house.dbt("--debug", "build").stdout
    asked = (
        "select path from duckdb_databases() union all select secret_string from duckdb_secrets()"
    )
    said += house.boathouse("sql", "--lake", asked).stdout
    assert SECRET not in said
    here = settings_of(house)
    assert SECRET not in repr(here)
    with (
        pytest.raises(LockLostError) as caught,
        lock.writer(here, "a test"),
        lake.connect(here) as opened,
    ):
        opened.con.execute("begin")
        opened.con.execute("create table lake.main.t (n integer)")
        end_sessions(address)
        opened.con.execute("commit")
    assert SECRET not in str(caught.getrepr(style="long"))

    monkeypatch.setattr(running, "RETRIES", 0)
    job = build_definitions(load_project(here)).resolve_job_def("everything")
    ask(postgres, "alter database secretive with allow_connections false")
    with DagsterInstance.ephemeral() as instance:
        ran = job.execute_in_process(instance=instance, raise_on_error=False)
        told = "\n".join(str(entry) for entry in instance.all_logs(ran.run_id))
    assert not ran.success and "cannot be reached" in told
    assert SECRET not in told
    require_secrecy(tmp_path)
