"""The dashboard in a real browser: navigation, filters in the URL, download, console, releases."""

import io
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect
from support.command import wait_until
from support.dashboard import BOLD, SCRIPT, copy_released
from support.homes import REPOSITORY

from boathouse.release import rollback
from boathouse.settings import Settings

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def settings(nine_domains: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return copy_released(nine_domains, tmp_path_factory.mktemp("served") / "home")


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    """Serve the dashboard as `make dashboard` does, and end it afterwards."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOATHOUSE_")}
    ours = {"PYTHONPATH": str(REPOSITORY), "BOATHOUSE_HOME": str(settings.home_folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboards", "--port", str(port)],
        cwd=REPOSITORY,
        env={**kept, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_until(answers, "the dashboard answers", process)
        yield url
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Return a page whose every request went to the dashboard itself."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    context.close()
    elsewhere = [url for url in asked if not url.startswith((address, "data:", "blob:", "ws:"))]
    assert not elsewhere


def heading(page: Page, text: str) -> None:
    """Return when a page is there, whole: until then, what is clicked may be drawn anew."""
    expect(page.get_by_test_id("stHeading").first).to_have_text(text, timeout=PATIENCE_MS)
    is_drawn = page.locator("[data-test-script-state=notRunning]")
    expect(is_drawn.first).to_be_attached(timeout=PATIENCE_MS)


def badge(page: Page, text: str) -> None:
    expect(page.get_by_text(re.compile(text)).first).to_be_visible(timeout=PATIENCE_MS)


def test_menu_leads_to_every_page_without_errors(page: Page, address: str) -> None:
    page.goto(address)
    heading(page, "Overview")
    links = page.get_by_test_id("stSidebarNavLink")
    for number in range(links.count()):
        name = links.nth(number).inner_text().splitlines()[-1]
        links.nth(number).click()
        heading(page, name)
        badge(page, r"tests passed")
        expect(page.get_by_test_id("stException")).to_have_count(0)


def test_filter_goes_into_the_url_and_a_link_opens_the_same_view(page: Page, address: str) -> None:
    page.goto(f"{address}/quality")
    heading(page, "Data quality")
    source = page.get_by_label("Source").first
    source.fill("purchases")
    expect(page.get_by_role("option", name="purchases")).to_be_visible()
    source.press("Enter")
    expect(page).to_have_url(re.compile(r"/quality\?source=purchases$"))
    page.goto("about:blank")
    page.goto(f"{address}/quality?source=purchases")
    heading(page, "Data quality")
    expect(page.get_by_test_id("stMultiSelect").get_by_text("purchases").first).to_be_visible()
    page.goto(f"{address}/quality?source=nonsense&dates=yesterday")
    heading(page, "Data quality")
    badge(page, "Release")
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_chart_can_be_taken_away_as_csv_and_parquet(page: Page, address: str) -> None:
    page.goto(f"{address}/quality")
    heading(page, "Data quality")
    frames = []
    for kind in ("CSV", "Parquet"):
        page.get_by_test_id("stPopover").first.get_by_role("button").click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name=kind, exact=True).click()
        path = Path(waiting.value.path())
        assert waiting.value.suggested_filename == f"rejected_rows_by_source.{kind.lower()}"
        content = io.BytesIO(path.read_bytes())
        frames.append(pl.read_csv(content) if kind == "CSV" else pl.read_parquet(content))
        page.keyboard.press("Escape")
    assert frames[0].equals(frames[1])
    assert frames[0]["rows_rejected"].sum() > 0


def test_console_answers_refuses_and_goes_on(page: Page, address: str) -> None:
    page.goto(f"{address}/sql")
    heading(page, "SQL")
    query = page.get_by_label("Query")
    run = page.get_by_role("button", name="Run")

    def ask(sql: str) -> None:
        query.fill(sql)
        query.press("Control+Enter")
        run.click()

    ask("select 6 * 7 as answer")
    badge(page, r"^1 rows in")
    ask("select * from read_text('/etc/passwd')")
    badge(page, "read_text is not allowed")
    ask("select '<b>bold</b> **x**' as no_such_column from marts.\"<img src=x onerror=alert(1)>\"")
    expect(page.get_by_test_id("stAlert").get_by_text("<img src=x")).to_be_visible()
    assert page.get_by_test_id("stAlert").locator("img").count() == 0
    ask(f"select '{SCRIPT}' as text, 1 as n union all select '**x**', 2")
    badge(page, r"^2 rows in")
    assert page.locator("script", has_text="alert(1)").count() == 0


def test_running_query_can_be_cancelled(page: Page, address: str) -> None:
    page.goto(f"{address}/sql")
    heading(page, "SQL")
    query = page.get_by_label("Query")
    query.fill("select count(*) from range(10000000) as a, range(10000000) as b")
    query.press("Control+Enter")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Cancel").click()
    badge(page, "Cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_text_of_data_is_shown_as_it_is(page: Page, address: str) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{address}/sessions?country=PK")
    heading(page, "Sessions")
    players = page.get_by_role("region", name="Players with most completed sessions")
    players.scroll_into_view_if_needed()
    cells = players.locator("[role=gridcell]")  # of the table that the canvas holds
    for text in (SCRIPT, BOLD):
        expect(cells.filter(has_text=text).first).to_be_attached()
    assert page.locator("script", has_text="alert(1)").count() == 0
    assert dialogs == []


def test_new_release_appears_by_itself(page: Page, address: str, settings: Settings) -> None:
    page.goto(address)
    badge(page, "Release 2")
    rollback(settings, 1)
    try:
        badge(page, "Release 1")
    finally:
        rollback(settings, 2)
    badge(page, "Release 2")


def test_pages_fit_a_phone(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    for name in ("", "quality", "sql"):
        page.goto(f"{address}/{name}")
        badge(page, "tests passed")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
