"""Dagster as a person opens it: one server, one home, a browser, and what goes wrong.

The tests follow each other in this order, on one home, because starting and filling it takes long.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect
from support.command import PATIENCE_SECONDS, House, wait_until
from support.homes import copy_project
from support.servers import Mailbox, Webhook, mail_server, webhook

from boathouse import lock
from boathouse.release import current_release

DOMAINS = ("purchases", "vehicles")
CURSED = "select purchase_id from {{ ref('fct_purchases') }} where product_id = 666"
LANDING = {
    "repositoryLocationName": "boathouse",
    "repositoryName": "__repository__",
    "sensorName": "landing",
}
HEADER = "PurchaseID,product,user,date\n"
OFTEN = 0.5  # seconds between questions: each keeps the server busy for a while
SLOWLY = 120_000  # milliseconds a page may take on a busy machine


class Server:
    """`python -m orchestration`, and what can be asked of it."""

    def __init__(self, house: House, port: int, process: "subprocess.Popen[str]") -> None:
        self.house = house
        self.address = f"http://127.0.0.1:{port}"
        self.process = process

    @property
    def lock_holder(self) -> str:
        """Return the command that writes to the lake just now; empty when nobody does."""
        holder = lock.holder(self.house.settings)
        is_held = holder is not None and lock.is_held(self.house.settings)
        return holder.command if holder and is_held else ""

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the answer to a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found["errors"]
        data: dict[str, Any] = found["data"]
        return data

    def is_ready(self) -> bool:
        """Return whether the code location is loaded."""
        try:
            data = self.ask(
                "{ workspaceOrError { ... on Workspace { locationEntries {"
                " loadStatus locationOrLoadError { __typename ... on PythonError "
                "{ message } } } } } }"
            )
        except OSError:
            return False
        (entry,) = data["workspaceOrError"]["locationEntries"]
        found = entry["locationOrLoadError"] or {}
        assert found.get("__typename") != "PythonError", found
        return bool(found) and entry["loadStatus"] == "LOADED"

    def _sensor(self) -> dict[str, Any]:
        query = (
            "query ($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor "
            "{ sensorState { id status ticks(limit: 1) { status } } } } }"
        )
        state: dict[str, Any] = self.ask(query, s=LANDING)["sensorOrError"]["sensorState"]
        return state

    def start_sensor(self) -> None:
        """Start the sensor on landing."""
        self.ask(
            "mutation ($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }",
            s=LANDING,
        )
        assert self._sensor()["status"] == "RUNNING"

    def stop_sensor(self) -> None:
        """Stop the sensor on landing, and wait for the look that it takes just now."""
        self.ask(
            "mutation ($id: String!) { stopSensor(id: $id) { __typename } }",
            id=self._sensor()["id"],
        )

        def is_still() -> bool:
            state = self._sensor()
            looking = any(tick["status"] == "STARTED" for tick in state["ticks"])
            return state["status"] == "STOPPED" and not looking

        wait_until(is_still, "the sensor has stopped", self.process, every=OFTEN)

    def launch(self, job: str) -> str:
        """Launch a job, as a click on its button does, and return the run's id."""
        selector = {
            "repositoryLocationName": "boathouse",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        found = self.ask(
            "mutation ($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p={"selector": selector, "runConfigData": {}},
        )["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """End a run, as a click on “Terminate” does."""
        found = self.ask(
            "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }", id=run_id
        )["terminateRun"]
        assert found["__typename"] == "TerminateRunSuccess", found

    def runs(self) -> list[tuple[str, str]]:
        """Return id and status of all runs, newest first."""
        found = self.ask("{ runsOrError { ... on Runs { results { runId status } } } }")
        return [(run["runId"], run["status"]) for run in found["runsOrError"]["results"]]

    def wait_for_runs(self, count: int) -> list[str]:
        """Return how the newest runs came out, newest first, once so many have ended."""
        ended = ("SUCCESS", "FAILURE", "CANCELED")
        wait_until(
            lambda: sum(status in ended for _, status in self.runs()) >= count,
            f"{count} runs have ended",
            self.process,
            every=OFTEN,
        )
        return [status for _, status in self.runs()]

    def why_failed(self, run_id: str) -> list[str]:
        """Return what a run's steps, and the run itself, say of their failure."""
        found = self.ask(
            "query ($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events "
            "{ __typename ... on MessageEvent { message } ... on ExecutionStepFailureEvent "
            "{ error { message cause { message } } } } } } } }",
            id=run_id,
        )["runOrError"]
        failures = ("ExecutionStepFailureEvent", "RunFailureEvent")
        return [
            f"{event['message']} {event.get('error') or ''}"
            for event in found["eventConnection"]["events"]
            if event["__typename"] in failures
        ]


@dataclass(frozen=True)
class Receivers:
    """Who is told of what goes wrong."""

    hook: Webhook
    mailbox: Mailbox

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings that send alerts to them."""
        return {
            "BOATHOUSE_ALERT_WEBHOOK": self.hook.address,
            "BOATHOUSE_ALERT_EMAIL_TO": "ann@example.org",
            "BOATHOUSE_SMTP_HOST": "127.0.0.1",
            "BOATHOUSE_SMTP_PORT": str(self.mailbox.port),
            "BOATHOUSE_SMTP_SECURITY": "none",
            "no_proxy": "*",
        }


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    with webhook() as hook, mail_server() as mailbox:
        yield Receivers(hook, mailbox)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receivers: Receivers) -> Iterator[Server]:
    """Open Dagster on an empty home, with the sensor stopped."""
    folder = tmp_path_factory.mktemp("dagster")
    house = House(copy_project(folder / "project", DOMAINS), folder / "home")
    test = house.project / "tests/data/purchases/assert_no_cursed_product.sql"
    test.write_text(CURSED)
    port = free_port()
    how = house.how(receivers.environment)
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration", "--port", str(port)],
        **how,
        stdout=log,
        stderr=log,
    )
    server = Server(house, port, process)
    try:
        wait_until(server.is_ready, "Dagster has loaded the definitions", process, every=OFTEN)
        server.stop_sensor()
        yield server
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            log.close()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        for child in alive:
            child.kill()
        assert not alive, f"still there after Ctrl-C: {alive}"
        assert process.returncode == 0, (folder / "server.log").read_text()[-3000:]


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """Return a page that may talk to the server alone."""
    asked: list[str] = []
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(SLOWLY)
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    addresses = (server.address, server.address.replace("http", "ws", 1), "data:", "blob:")
    assert [url for url in asked if not url.startswith(addresses)] == []


def look(page: Page, name: str) -> None:
    """Keep a picture for a person, when one asks for it with BOATHOUSE_SCREENSHOTS."""
    folder = os.environ.get("BOATHOUSE_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_everything_is_materialized_by_clicking(server: Server, page: Page) -> None:
    server.house.boathouse("generate", "--scale", "0.02", "--days", "3", "--seed", "7")
    page.goto(f"{server.address}/asset-groups")
    button = page.get_by_role("button", name="Materialize all")
    expect(button).to_be_enabled(timeout=SLOWLY)
    button.click()
    wait_until(lambda: bool(server.runs()), "the run is there", server.process, every=OFTEN)
    page.goto("about:blank")  # the graph asks for news all the time
    assert server.wait_for_runs(1) == ["SUCCESS"]
    page.goto(f"{server.address}/asset-groups")
    for domain in (*DOMAINS, "release"):
        expect(page.get_by_text(domain, exact=True).first).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_text("fetching statuses")).to_have_count(0, timeout=SLOWLY)
    expect(page.get_by_role("img", name="dot_filled").first).to_be_visible(timeout=SLOWLY)
    look(page, "groups")
    released = server.house.released("select count(*) from marts.fct_purchases")
    assert released > [(0,)]


def test_release_and_green_checks_are_seen(server: Server, page: Page) -> None:
    page.goto(f"{server.address}/assets/release")
    expect(page.get_by_text("The file that everybody reads").first).to_be_visible(timeout=SLOWLY)
    look(page, "release")
    page.goto(f"{server.address}/assets/marts/fct_purchases?view=checks")
    expect(page.get_by_text("assert_no_cursed_product").first).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_text("Passed").first).to_be_visible(timeout=SLOWLY)
    look(page, "checks")


def test_two_launched_at_once_both_succeed(server: Server) -> None:
    runs = {server.launch("vehicles_daily_summary") for _ in range(2)}
    assert len(runs) == 2
    assert server.wait_for_runs(3) == ["SUCCESS"] * 3


def test_run_terminated_while_it_writes_ends_and_the_next_one_mends_the_lake(
    server: Server,
) -> None:
    before = current_release(server.house.settings)
    run_id = server.launch("full_refresh")
    # A few letters of its id, as everybody sees them who waits for the lock.
    writes = f"dagster run {run_id[:8]}"
    wait_until(lambda: server.lock_holder == writes, "the run writes", server.process)
    server.house.wait_for_build(server.process)
    server.terminate(run_id)
    assert server.wait_for_runs(4)[0] == "CANCELED"
    wait_until(lambda: not server.lock_holder, "the lock is free", server.process)
    assert current_release(server.house.settings) == before


def test_sensor_releases_what_arrives(server: Server) -> None:
    deliver_next_snapshot(server.house, "1,12,5,2026-02-01")
    server.start_sensor()
    assert server.wait_for_runs(5)[0] == "SUCCESS", server.why_failed(server.runs()[0][0])
    query = "select purchase_id, product_id, user_id from marts.fct_purchases"
    assert server.house.released(query) == [(1, 12, 5)]


def test_failing_data_test_is_seen_and_the_released_file_stays_the_old_one(
    server: Server, page: Page
) -> None:
    before = current_release(server.house.settings)
    deliver_next_snapshot(server.house, "1,666,5,2026-02-01")
    assert server.wait_for_runs(6)[0] == "FAILURE"
    assert current_release(server.house.settings) == before
    page.goto(f"{server.address}/assets/marts/fct_purchases?view=checks")
    page.get_by_text("assert_no_cursed_product").first.click()
    expect(page.get_by_text("Failed").first).to_be_visible(timeout=SLOWLY)
    look(page, "failed-check")
    page.goto(f"{server.address}/runs/{server.runs()[0][0]}")
    expect(page.get_by_text("assert_no_cursed_product").first).to_be_visible(timeout=SLOWLY)
    look(page, "failed-run")


def test_failed_run_sends_one_message(server: Server, receivers: Receivers) -> None:
    link = f"{server.address}/runs/{server.runs()[0][0]}"

    def told() -> tuple[list[Any], list[Any]]:
        posts = [each for each in receivers.hook.posted if each["link"] == link]
        mails = [each for each in receivers.mailbox.mails if link in each.get_content()]
        return posts, mails

    wait_until(lambda: all(told()), "both have been told", server.process)
    ((posted,), (_,)) = told()
    assert "assert_no_cursed_product" in posted["what"]
    assert posted["rows"] == 1


def deliver_next_snapshot(house: House, row: str) -> None:
    """Deliver the shop's table as it is on the day after the newest one: one row."""
    query = "select (max(snapshot_date) + 1)::varchar from lake.raw.purchases"
    ((day,),) = house.in_lake(query)
    house.drop("purchases", f"purchases_{day}.csv", f"{HEADER}{row}\n")


def test_dagster_ends_when_what_has_started_it_is_killed(tmp_path: Path) -> None:
    house = House(copy_project(tmp_path / "project", ["actions"]), tmp_path / "home")
    arguments = ("-m", "orchestration", "--port", str(free_port()))
    with house.started(*arguments, program="python") as process:
        supervisor = psutil.Process(process.pid)
        wait_until(
            lambda: len(supervisor.children(recursive=True)) > 2,
            "Dagster has started its parts",
            process,
        )
        session = supervisor.children()[0].pid
        process.kill()
        try:
            wait_until(lambda: not members(session), "Dagster has ended")
        finally:
            for left in members(session):
                left.kill()


def test_killed_daemon_ends_all_with_a_message(tmp_path: Path) -> None:
    house = House(copy_project(tmp_path / "project", ["actions"]), tmp_path / "home")
    arguments = ("-m", "orchestration", "--port", str(free_port()))
    with house.started(*arguments, program="python") as process:
        supervisor = psutil.Process(process.pid)

        def daemon() -> psutil.Process | None:
            for each in supervisor.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if "dagster._daemon" in each.cmdline():
                        return each
            return None

        wait_until(lambda: daemon() is not None, "the daemon is there", process)
        found = daemon()
        assert found is not None
        found.kill()
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1 and "Dagster has ended by itself" in said


def test_project_that_cannot_be_read_is_not_served_and_says_which_file(tmp_path: Path) -> None:
    house = House(copy_project(tmp_path / "project", ["actions"]), tmp_path / "home")
    contract = next((house.project / "models/staging").rglob("_*__sources.yml"))
    contract.write_text("sources: [")
    with house.started("-m", "orchestration", program="python") as process:
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1 and contract.name in said


def members(session: int) -> list[psutil.Process]:
    """Return the processes of a session."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
