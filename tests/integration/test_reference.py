"""docs/reference.md is what the descriptions in the project say, and lists everything."""

from pathlib import Path

from support.homes import REPOSITORY

from boathouse import reference
from boathouse.contracts import load_contracts
from boathouse.settings import Settings


def test_reference_is_up_to_date_and_lists_every_source_and_mart(tmp_path: Path) -> None:
    settings = Settings(project=REPOSITORY, home=tmp_path)
    reference.write(settings, tmp_path / "reference.md")
    written = (tmp_path / "reference.md").read_text()
    kept = (REPOSITORY / "docs" / "reference.md").read_text()
    assert written == kept, "docs/reference.md is not up to date: run `make docs`"
    marts = {path.stem for path in (REPOSITORY / "models" / "marts").rglob("*.sql")}
    sources = load_contracts(REPOSITORY)
    titles = {line.removeprefix("### ") for line in kept.splitlines() if line.startswith("### ")}
    assert titles == {f"marts.{name}" for name in marts} | {f"raw.{name}" for name in sources}
