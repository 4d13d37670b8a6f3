"""The examples of docs/api.md do what the page says."""

import os
import re
import subprocess
import sys

from support.api import serving
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY

from boathouse.settings import Settings

PAGE = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run(command: list[str], address: str) -> str:
    environment = {"PATH": os.environ["PATH"], "API": address}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return done.stdout


def test_python_example_reads_all_pages(nine_domains: Settings) -> None:
    (code,) = examples("python")
    with serving(nine_domains) as client:
        said = run([sys.executable, "-c", code], client.address)
        count = len(client.pages("/marts/fct_sessions", country="PK", limit=10_000))
    assert said == f"{count} sessions from release 2\n"
    assert count > 100


def test_curl_examples_answer(nine_domains: Settings) -> None:
    (commands,) = [each for each in examples("sh") if "curl" in each]
    started, by_country, purchases = commands.strip().splitlines()
    with serving(nine_domains) as client:
        assert '"country":"PK"' in run(["sh", "-c", started], client.address)
        assert run(["sh", "-c", by_country], client.address).startswith("country,year,")
        assert '"count":1' in run(["sh", "-c", purchases], client.address)


def test_every_mart_that_is_public_is_in_the_lists_of_who_uses_it() -> None:
    exposed = "".join(
        path.read_text() for path in (REPOSITORY / "models" / "marts").rglob("*exposures.yml")
    )
    for domain in (REPOSITORY / "models" / "marts").iterdir():
        for path in domain.glob("*.yml"):
            if "\n        api:" in path.read_text():
                section = exposed.partition(f"- name: api_{domain.name}\n")[2].partition("- name")[
                    0
                ]
                assert f"ref('{path.stem}')" in section, path
