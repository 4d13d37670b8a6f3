"""The API does what its description says, whatever it is asked: schemathesis does the asking."""

import subprocess
import sys
from pathlib import Path

from support.api import serving
from support.command import PATIENCE_SECONDS

from boathouse.api_keys import KeyRing
from boathouse.settings import Settings

PROGRAM = Path(sys.executable).with_name("schemathesis")
# A text in the form of a cursor is valid by any description, and is refused all the same.
ALL = ("--phases", "examples,coverage,fuzzing")
SOME = ("--phases", "examples")
BUT_FOR_CURSORS = ("--exclude-checks", "positive_data_acceptance")


def ask(address: str, folder: Path, *options: str) -> str:
    """Ask everything that the description offers; return what was found."""
    done = subprocess.run(
        [
            *(str(PROGRAM), "run", f"{address}/openapi.json", "--no-color", "--seed", "1"),
            *("--max-examples", "3", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_answer_is_as_described(nine_domains: Settings, tmp_path: Path) -> None:
    with serving(nine_domains) as client:
        operations = sum(map(len, client.json("/openapi.json")["paths"].values()))
        assert operations > 70
        said = ask(client.address, tmp_path, *ALL, *BUT_FOR_CURSORS)
    assert f"Tested: {operations}" in said


def test_every_refusal_of_a_closed_api_is_as_described(
    nine_domains: Settings, tmp_path: Path
) -> None:
    with serving(nine_domains.model_copy(update={"api_access": "keys"})) as client:
        checks = "not_a_server_error,status_code_conformance,content_type_conformance"
        ask(client.address, tmp_path, *SOME, "--checks", f"{checks},response_schema_conformance")


def test_every_answer_to_a_key_is_as_described(nine_domains: Settings, tmp_path: Path) -> None:
    closed = nine_domains.model_copy(update={"api_access": "keys"})
    key, secret = KeyRing(closed).create("schemathesis", ["*"], "100000/second")
    try:
        with serving(closed) as client:
            header = ("--header", f"Authorization: Bearer {secret}")
            ask(client.address, tmp_path, *SOME, *header, *BUT_FOR_CURSORS)
    finally:
        KeyRing(closed).revoke(key.key_id)
