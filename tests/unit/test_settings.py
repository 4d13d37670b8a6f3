"""Settings that cannot be are refused by name, with what they can be."""

from pathlib import Path

import pytest

from boathouse.errors import UsageError
from boathouse.settings import Settings, mistyped_variables


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MEMORY_LIMIT", "bogus", "a number with a unit, such as 3GB"),
        ("MEMORY_LIMIT", "80%", "a number with a unit, such as 3GB"),
        ("THREADS", "0", "greater than or equal to 1"),
        ("REBUILD", "maybe", "'auto' or 'refuse'"),
        ("API_ACCESS", "all", "'auto', 'keys' or 'open'"),
        ("MAX_SHRINK", "2", "less than or equal to 1"),
        ("RELEASES_KEPT", "none", "a valid integer"),
        ("CATALOG", "mysql://db/lake", "postgresql://"),
        ("LAKE", "gs://bucket/lake", "s3://bucket/prefix"),
        ("LANDING", "/mnt/landing", "s3://bucket/prefix"),
        ("ARCHIVE", "s3://", "s3://bucket/prefix"),
        ("RELEASES", "https://bucket/releases", "s3://bucket/prefix"),
        ("S3_ENDPOINT", "minio:9000", "http://host:port"),
        ("S3_ENDPOINT", "http://", "http://host:port"),
        ("S3_ENDPOINT", "https://minio:9000/path", "http://host:port"),
        ("S3_ENDPOINT", "https://minio:9000?x=1", "http://host:port"),
        ("S3_ENDPOINT", "https://ann:word@minio:9000", "AWS command line"),
        ("S3_URL_STYLE", "dns", "'vhost' or 'path'"),
        ("ALERT_EMAIL_TO", "ann@example.org, bob", "'bob'"),
        ("HOME", "what?", "? * ["),
        ("HOME", "back\\slash", "? * ["),
        ("HOME", "a[b]", "? * ["),
        ("LAKE", "all*", "? * ["),
        ("CATALOG", "sqlite:a?b", "? * ["),
    ],
)
def test_value_that_cannot_be_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"BOATHOUSE_{name}", value)
    with pytest.raises(UsageError) as raised:
        Settings()
    assert f"BOATHOUSE_{name}" in str(raised.value) and said in str(raised.value)


@pytest.mark.parametrize(
    ("archive", "landing", "is_well"),
    [
        ("s3://boats/archive", "s3://boats/landing", True),
        ("s3://boats/land", "s3://boats/landing", True),
        ("s3://boats/landing", "s3://boats/landing/", False),
        ("s3://boats/landing/archive", "s3://boats/landing", False),
        ("s3://boats", "s3://boats/landing", False),
    ],
)
def test_no_prefix_lies_in_another_one(
    monkeypatch: pytest.MonkeyPatch, archive: str, landing: str, is_well: bool
) -> None:
    monkeypatch.setenv("BOATHOUSE_ARCHIVE", archive)
    monkeypatch.setenv("BOATHOUSE_LANDING", landing)
    if is_well:
        assert Settings().archive == archive
    else:
        with pytest.raises(UsageError, match="and lies in BOATHOUSE_"):
            Settings()


@pytest.mark.parametrize("name", ["ALERT_WEBHOOK", "HEARTBEAT_URL"])
def test_secret_is_not_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"BOATHOUSE_{name}", "hooks.example/secret")
    with pytest.raises(
        UsageError, match=f"BOATHOUSE_{name} is …: should begin with http"
    ) as raised:
        Settings()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("limit", ["3GB", "512MiB", "1.5 GiB", "3g"])
def test_limits_that_duckdb_knows_are_taken(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("BOATHOUSE_MEMORY_LIMIT", limit)
    assert Settings().memory_limit == limit


def test_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOATHOUSE_HOME", "")
    assert Settings().home == Path("data")


def test_mistyped_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOATHOUSE_RELEASE_KEPT", "7")
    monkeypatch.setenv("BOATHOUSE_SOMETHING_ELSE", "7")
    assert mistyped_variables() == {"BOATHOUSE_RELEASE_KEPT": "BOATHOUSE_RELEASES_KEPT"}
