"""Passwords do not show, in whichever form somebody writes them."""

import pytest

from boathouse.redaction import told, without_passwords

SECRET = "open-sesame"


@pytest.mark.parametrize(
    "text",
    [
        "at postgresql://ann:open-sesame@db.example/lake: refused",
        "postgres://ann:@open-sesame@db/lake",
        "postgresql://:open-sesame@/lake?host=/tmp",
        'missing "=" after "postgresql://ann:open-sesame@db/lake"',
        "postgresql://ann@db/lake?password=open-sesame&sslmode=require",
        "host=db password=open-sesame dbname=lake",
        "host=db PASSWORD = 'open-sesame it\\'s' dbname=lake",
        "password='it''s open-sesame' dbname=lake",
        'password="a open-sesame"',
        "sslpassword=open-sesame",
        "{'user': 'ann', 'password': 'open-sesame'}",
        '{"password": "open-sesame"}',
        "smtp_password=open-sesame",
    ],
)
def test_passwords_of_addresses_are_taken_out(text: str) -> None:
    shown = without_passwords(text)
    assert SECRET not in shown
    assert "…" in shown


@pytest.mark.parametrize(
    "text",
    [
        "the ZIP archive is protected by a password",
        "Open http://127.0.0.1:8501/a@b and mail ann@example.com",
        "12:30 @ noon",
        "postgresql://ann@db.example:5432/lake",
        "s3://bucket/prefix/x=1",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert without_passwords(text) == text


def test_passwords_of_the_environment_are_taken_out_as_whole_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "lake.1")
    assert without_passwords("it was lake.1, not lakes.1 or lake.12") == (
        "it was …, not lakes.1 or lake.12"
    )


def test_traceback_tells_all_errors_of_a_chain_without_passwords() -> None:
    try:
        try:
            raise ValueError(f"password={SECRET}")
        except ValueError as error:
            raise RuntimeError("postgresql://a:open-sesame@b") from error
    except RuntimeError as error:
        shown = told(error)
    assert "ValueError" in shown and "RuntimeError" in shown
    assert SECRET not in shown
