"""A watch meets what breaks under it, tells of it once, lives on, and tells that it works again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command import House, interrupt, wait_until
from support.homes import copy_project
from support.servers import Webhook, webhook

from boathouse.heartbeat import last_beat

PURCHASES = "PurchaseID,Name,Product,Price,Date\n{},Ann,Tea,{},2026-03-{:02}\n"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("no_proxy", "*")
    with webhook() as running:
        yield running
