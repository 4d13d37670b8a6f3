"""Where everything is and how much of the machine may be used, from the environment or `.env`.

The only module that reads the environment. Paths come back absolute.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from boathouse.errors import UsageError

MIB = 1024 * 1024
ENVIRONMENTS = "environments"
ENVIRONMENT_FILE = "environment.json"  # makes a folder an environment: see boathouse/environments
_NEARLY = 0.9
_MEMORY = re.compile(r"\d+(\.\d+)? *[KMGT](i?B)?", re.IGNORECASE)
# In a path DuckDB takes them for a pattern, for the end of a name, or for a separator.
_NO_PATH = re.compile(r"[?*\[\\\x00-\x1f]")
_STORED = ("archive", "lake", "landing", "releases")  # what may lie in an object store
# What may lie elsewhere than in the home, and of an environment does not.
_PLACES = ("catalog", *_STORED)
_PREFIX = re.compile(r"s3://[^/?#\s]+(/[^?#\s]*)?")


def project_folder() -> Path:
    """Return the folder with `dbt_project.yml`: here or above, else the one this code is in."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise UsageError(
        f"No dbt_project.yml in {here} or above.",
        hint="Change into the Boathouse repository, or set BOATHOUSE_PROJECT to its path.",
    )


def _endpoint_of_aws() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    return next(filter(None, map(os.environ.get, names)), "")


class Settings(BaseSettings):
    """All settings, one `BOATHOUSE_<NAME>` variable each.

    To read them raises a UsageError when one has a value that it cannot have.
    """

    model_config = SettingsConfigDict(
        env_prefix="BOATHOUSE_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    project: Path = Field(default_factory=project_folder, description="Folder of dbt_project.yml.")
    home: Path = Field(default=Path("data"), description="Folder of everything that is data.")
    env: str = Field(default="", description="Environment in that folder to work in.")
    catalog: str = Field(
        default="", repr=False, description="sqlite:<path> or a PostgreSQL address."
    )  # which may hold a password
    lake: str = Field(default="", description="Folder or s3:// prefix of the Parquet files.")
    landing: str = Field(
        default="", description="s3:// prefix where deliveries arrive, too, by source."
    )
    archive: str = Field(default="", description="s3:// prefix to which originals are carried off.")
    releases: str = Field(
        default="", description="s3:// prefix to which releases go, and are pulled from."
    )
    s3_endpoint: str = Field(
        default_factory=_endpoint_of_aws,
        description="Address of an S3 server that is not Amazon's: http(s)://host:port.",
    )
    s3_region: str = Field(default="", description="Its region; by default that of AWS_REGION.")
    s3_url_style: Literal["", "vhost", "path"] = Field(
        default="", description="Whether a bucket is in the host's name or in the path."
    )
    memory_limit: str = Field(default="3GB", description="Most memory DuckDB may use.")
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    lock_timeout: float = Field(default=3600, ge=0, description="Seconds to wait for the lock.")
    settle_seconds: float = Field(
        default=1.0, ge=0, description="A file must have been left alone this long to be loaded."
    )
    batch_bytes: int = Field(default=128 * MIB, gt=0, description="Bytes of files a transaction.")
    batch_files: int = Field(default=2000, gt=0, description="Files a transaction.")
    max_record_bytes: int = Field(default=16 * MIB, gt=0, description="Longest record read.")
    max_unpacked_bytes: int = Field(
        default=50 * 1024 * MIB, gt=0, description="Most that one compressed file may unpack to."
    )
    reader_bytes: int = Field(
        default=896 * MIB, gt=0, description="Most memory of the process that reads files."
    )
    reader_seconds: float = Field(
        default=3600, gt=0, description="Longest time that a transaction's files are read."
    )
    max_workbook_bytes: int = Field(
        default=1024 * MIB, gt=0, description="Most that one Excel workbook may unpack to."
    )
    rebuild: Literal["auto", "refuse"] = Field(
        default="auto",
        description="What becomes of an incremental model whose code has changed: auto makes it "
        "anew; refuse says which command does.",
    )
    max_shrink: float = Field(
        default=0.5, ge=0, le=1, description="Largest share of its rows that a mart may lose."
    )
    releases_kept: int = Field(default=5, ge=1, description="Releases kept for rollback.")
    keep_snapshots_days: float = Field(
        default=7, ge=0, description="Days for which the lake can be asked as it was."
    )
    keep_files_hours: float = Field(
        default=12, ge=0, description="Age at which unused files of the lake are deleted."
    )
    keep_logs_days: float = Field(
        default=30, ge=0, description="Days for which logs and old builds' results are kept."
    )
    alert_webhook: SecretStr | None = Field(default=None, description="Where alerts are posted.")
    alert_email_to: str = Field(default="", description="Addresses, with commas between them.")
    alert_email_from: str = Field(default="boathouse@localhost")
    alert_link: str = Field(default="", description="Start of the links in alerts.")
    heartbeat_url: SecretStr | None = Field(
        default=None, description="Called while `boathouse watch` lives, for a dead man's switch."
    )
    api_now: datetime | None = Field(
        default=None, description="The time it is for the API (UTC), for data of the past."
    )
    api_access: Literal["auto", "keys", "open"] = Field(
        default="auto", description="Who may use the API; auto: without a key on loopback only."
    )
    smtp_host: str = Field(default="localhost")
    smtp_port: int = Field(default=0, ge=0, le=65535, description="0: as usual for the security.")
    smtp_user: str = Field(default="")
    smtp_password: SecretStr = Field(default=SecretStr(""))
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the way to the mail server is kept private."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_what_is_wrong(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _refusal(error) from None

    @model_validator(mode="before")
    @classmethod
    def _enter_environment(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Make the environment's folder the home, in which all that is its own lies.

        Doing so again changes nothing: a process that is started inside finds the same home.
        """
        env = values.get("env")
        if not env:
            return values
        home = Path(values.get("home", "data"))
        if (home.parent.name, home.name) != (ENVIRONMENTS, env):
            home = home / ENVIRONMENTS / env
        return {**values, "home": home, **dict.fromkeys(_PLACES, "")}

    @model_validator(mode="after")
    def _require_environment(self) -> Self:
        is_environment = (self.home_folder / ENVIRONMENT_FILE).exists()
        if self.env and not is_environment:
            raise UsageError(
                f"There is no environment {self.env!r} in {self.home_folder.parents[1]}.",
                hint="`boathouse env list` names them; `boathouse env create` makes one.",
            )
        elsewhere = [name for name in _PLACES if getattr(self, name)]
        if is_environment and elsewhere:
            raise UsageError(
                f"{self.home_folder} is an environment, in which all that is its own lies, but "
                f"BOATHOUSE_{elsewhere[0].upper()} says otherwise.",
                hint="Name it with BOATHOUSE_ENV or --env, or unset that.",
            )
        return self

    @model_validator(mode="after")
    def _require_paths(self) -> Self:
        """Let nobody work in a place whose name DuckDB would read otherwise."""
        catalog = self.catalog_file
        places = {
            "BOATHOUSE_HOME": str(self.home_folder),
            "BOATHOUSE_LAKE": self.data_path,
            "BOATHOUSE_CATALOG": str(catalog or ""),
        }
        for name, path in places.items():
            if found := _NO_PATH.search(path):
                raise UsageError(
                    f"{name} leads to {path!r}, whose {found[0]!r} DuckDB would read as something "
                    "else.",
                    hint="Use another name: one without ? * [ \\ and control characters.",
                )
        return self

    @model_validator(mode="after")
    def _require_apart(self) -> Self:
        """Let nobody take originals, say, for deliveries: no prefix may lie in another one."""
        given = {name: f"{getattr(self, name).rstrip('/')}/" for name in _STORED}
        stored = {name: prefix for name, prefix in given.items() if prefix.startswith("s3://")}
        for name, prefix in stored.items():
            for other, around in stored.items():
                if other != name and prefix.startswith(around):
                    raise UsageError(
                        f"BOATHOUSE_{name.upper()} is {prefix[:-1]}, and lies in "
                        f"BOATHOUSE_{other.upper()}, {around[:-1]}.",
                        hint="Give each a prefix of its own, none inside another.",
                    )
        return self

    @field_validator("project", "home")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("memory_limit")
    @classmethod
    def _require_memory(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value.strip()):
            raise ValueError("it should be a number with a unit, such as 3GB or 512MiB")
        return value

    @field_validator("lake")
    @classmethod
    def _require_known_store(cls, value: str) -> str:
        if "://" in value and not value.startswith("s3://"):
            raise ValueError("it should be a folder, or s3://bucket/prefix")
        return value

    @field_validator("archive", "landing", "releases")
    @classmethod
    def _require_prefix(cls, value: str) -> str:
        if value and not _PREFIX.fullmatch(value):
            raise ValueError("it should be s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("s3_endpoint")
    @classmethod
    def _require_endpoint(cls, value: str) -> str:
        address = urlsplit(value)
        is_one = address.scheme in ("http", "https") and address.hostname
        if value and (not is_one or value.rstrip("/") != f"{address.scheme}://{address.netloc}"):
            raise ValueError("it, or AWS_ENDPOINT_URL, should be http://host:port or https://…")
        if address.username is not None or address.password is not None:
            raise ValueError("names and passwords are given as to the AWS command line")
        return value

    @field_validator("alert_webhook", "heartbeat_url")
    @classmethod
    def _require_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it should begin with http:// or https://")
        return value

    @field_validator("alert_email_to")
    @classmethod
    def _require_addresses(cls, value: str) -> str:
        wrong = [each for each in value.split(",") if each.strip() and "@" not in each]
        if wrong:
            raise ValueError(
                f"it should be addresses with commas between them, and {wrong[0].strip()!r} is none"
            )
        return value

    @property
    def home_folder(self) -> Path:
        """Return `BOATHOUSE_HOME`, spelled in one way; a relative one lies in the project."""
        return Path(os.path.realpath(self.project.absolute() / self.home))

    def alone_in(self, home: Path) -> "Settings":
        """Return the settings for a home in which all that is its own lies."""
        return self.model_copy(update={"home": home, "env": "", **dict.fromkeys(_PLACES, "")})

    @property
    def landing_folder(self) -> Path:
        """Return the folder where deliveries arrive, one sub-folder for each source."""
        return self.home_folder / "landing"

    @property
    def archive_folder(self) -> Path:
        """Return the folder that keeps every original that was loaded."""
        return self.home_folder / "archive"

    @property
    def rejected(self) -> Path:
        """Return the folder of files that could not be read under their contract."""
        return self.home_folder / "rejected"

    @property
    def work(self) -> Path:
        """Return the folder for what may vanish at any time; elsewhere for a read-only home."""
        home = self.home_folder
        if not home.exists() or os.access(home, os.W_OK):
            return home / "work"
        return Path("~/.cache/boathouse").expanduser() / home.relative_to(home.anchor)

    @property
    def releases_folder(self) -> Path:
        """Return the folder of kept releases."""
        return self.home_folder / "releases"

    @property
    def warehouse(self) -> Path:
        """Return the released file that everybody reads."""
        return self.home_folder / "warehouse.duckdb"

    @property
    def lock_file(self) -> Path:
        """Return the file that the one writer holds."""
        return self.home_folder / "writer.lock"

    @property
    def postgres(self) -> str | None:
        """Return the PostgreSQL address of the catalogue, or None when it is SQLite."""
        if self.catalog.startswith(("postgres://", "postgresql://")):
            return self.catalog
        if self.catalog.startswith("postgres:"):
            return self.catalog.removeprefix("postgres:")
        return None

    @property
    def catalog_uri(self) -> str:
        """Return the catalogue as DuckLake's `ATTACH` takes it, without the `ducklake:`."""
        if self.postgres is not None:
            return f"postgres:{self.postgres}"
        if self.catalog and not self.catalog.startswith("sqlite:"):
            raise UsageError(
                "BOATHOUSE_CATALOG is no catalogue that Boathouse knows.",
                hint="Use sqlite:<path>, postgres:<connection string> or postgresql://…",
            )
        path = self.catalog.removeprefix("sqlite:") or str(self.home_folder / "catalog.sqlite")
        return f"sqlite:{os.path.realpath(self.project.absolute() / path)}"

    @property
    def catalog_file(self) -> Path | None:
        """Return the file of the catalogue, or None when it is in PostgreSQL."""
        return None if self.postgres is not None else Path(self.catalog_uri.removeprefix("sqlite:"))

    @property
    def data_path(self) -> str:
        """Return where the lake's Parquet files are: an absolute folder or an object prefix."""
        if "://" in self.lake:
            return self.lake
        return os.path.realpath(self.home_folder / (self.lake or "lake"))


def _refusal(error: ValidationError) -> UsageError:
    """Return the error of the first setting that has a value it cannot have."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    field = Settings.model_fields.get(name)
    is_secret = field is not None and "SecretStr" in str(field.annotation)
    value = "…" if is_secret else repr(first["input"])
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return UsageError(
        f"BOATHOUSE_{name.upper()} is {value}: {said.removeprefix('it ')}.",
        hint="Mend it in the environment or in .env. docs/operations.md lists all settings.",
    )


def mistyped_variables() -> dict[str, str]:
    """Return variables that are no setting but nearly have the name of one, with that name."""
    known = [f"BOATHOUSE_{name.upper()}" for name in Settings.model_fields]
    given = {*os.environ, *(name for name in dotenv_values(".env"))}
    unknown = sorted(each for each in given if each.startswith("BOATHOUSE_") and each not in known)
    near = {each: get_close_matches(each, known, n=1, cutoff=_NEARLY) for each in unknown}
    return {each: names[0] for each, names in near.items() if names}


def environment_variable(name: str) -> str | None:
    """Return a variable that a dbt project asks for by name, or None when it is not set."""
    return os.environ.get(name)


_in_use: Settings | None = None


def current_settings() -> Settings:
    """Return the settings of the `using` block that is open, else those of the environment."""
    return _in_use if _in_use is not None else Settings()


@contextmanager
def using(settings: Settings) -> Iterator[None]:
    """Make `settings` the current ones in every thread of this process, for a `with` block.

    This is how code that others call, such as dbt's plugin, learns which home it works for.
    """
    global _in_use
    before, _in_use = _in_use, settings
    try:
        yield
    finally:
        _in_use = before
