"""The house of the end-to-end tests: demo data of three domains, after the first run."""

from pathlib import Path
from typing import NamedTuple

from support.command import Done, House
from support.homes import copy_project

DOMAINS = ("sessions", "students", "purchases")
GENERATE = (
    *("generate", "--scale", "0.01", "--days", "3", "--seed", "7"),
    *("--dirty", "0.05", "--until", "2026-03-10"),
)


class Prepared(NamedTuple):
    """A house after its first run, and what the commands so far have said."""

    house: House
    generated: Done
    ran: Done


def prepare(folder: Path) -> Prepared:
    """Make such a house in a folder."""
    house = House(copy_project(folder / "project", DOMAINS), folder / "home")
    return Prepared(house, house.boathouse(*GENERATE), house.boathouse("run"))
