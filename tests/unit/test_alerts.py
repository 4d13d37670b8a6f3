"""Alerts reach a real HTTP and a real SMTP server, or tell why they did not."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.servers import Mailbox, Webhook, mail_server, webhook

from boathouse.alerts import ATTEMPTS, Alarm, Alert, Sent, alert_for, not_sent, send
from boathouse.build.report import BuildReport, NodeResult
from boathouse.errors import BoathouseError, BuildError, ContractError, DamagedError, LakeError
from boathouse.settings import Settings

ALERT = Alert("A check failed", "3 sessions end before they start", "fct_sessions", 3, "http://x/1")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


def settings_for(
    hook: Webhook | None = None, mailbox: Mailbox | None = None, **others: Any
) -> Settings:
    told = dict(others)
    if hook is not None:
        told["alert_webhook"] = hook.address
    if mailbox is not None:
        told = {
            "alert_email_to": "ann@example.org, bob@example.org",
            "alert_email_from": "boathouse@example.org",
            "smtp_host": "127.0.0.1",
            "smtp_port": mailbox.port,
            "smtp_security": "none",
            **told,
        }
    return Settings(**told)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_settings_nothing_is_sent() -> None:
    assert send(Settings(), ALERT) == ()


def test_webhook_gets_what_failed_where_how_many_rows_and_a_link(hook: Webhook) -> None:
    assert send(settings_for(hook), ALERT) == (Sent("webhook", 1),)
    assert hook.posted == [
        {
            "text": "A check failed\n\n3 sessions end before they start\nWhere: fct_sessions\n"
            "Rows: 3\nLook at: http://x/1",
            "title": "A check failed",
            "what": "3 sessions end before they start",
            "where": "fct_sessions",
            "rows": 3,
            "link": "http://x/1",
        }
    ]


def test_mail_goes_to_everybody_with_the_whole_message(mailbox: Mailbox) -> None:
    alert = Alert("Ein Prüfschritt\nfailed", "·", "fct_sessions", 3)
    assert send(settings_for(mailbox=mailbox), alert) == (Sent("e-mail", 1),)
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Ein Prüfschritt failed: fct_sessions"
    assert mail["From"] == "boathouse@example.org"
    assert mailbox.recipients == [["ann@example.org", "bob@example.org"]]
    assert mail.get_content().splitlines() == alert.text.splitlines()
    assert mailbox.logins == []


def test_user_and_password_are_told_to_the_mail_server(mailbox: Mailbox) -> None:
    settings = settings_for(mailbox=mailbox, smtp_user="ann", smtp_password="open-sesame")
    assert send(settings, ALERT) == (Sent("e-mail", 1),)
    assert mailbox.logins == ["\0ann\0open-sesame"]


def test_what_may_pass_is_tried_again_after_growing_pauses(hook: Webhook, mailbox: Mailbox) -> None:
    hook.answers = [503, 429]
    mailbox.answers = ["451 later"]
    pauses: list[float] = []
    sent = send(settings_for(hook, mailbox), ALERT, pause=pauses.append)
    assert sent == (Sent("webhook", 3), Sent("e-mail", 2))
    assert pauses == [0.5, 1.0, 0.5]
    assert (len(hook.posted), len(mailbox.mails)) == (1, 1)


@pytest.mark.parametrize("status", [400, 404, 302])
def test_refusal_is_final_and_told_without_the_secret_address(hook: Webhook, status: int) -> None:
    hook.answers = [status]
    (sent,) = send(settings_for(hook), ALERT, pause=pytest.fail)
    assert not sent.is_sent
    assert str(status) in sent.error and "open-sesame" not in sent.error
    assert hook.requests == 1


def test_refusal_by_the_mail_server_is_final(mailbox: Mailbox) -> None:
    mailbox.answers = ["550 unknown sender"]
    (sent,) = send(settings_for(mailbox=mailbox), ALERT, pause=pytest.fail)
    assert sent == Sent("e-mail", 1, "the mail server answered 550 unknown sender")


def test_password_never_goes_over_an_open_line_unless_told(mailbox: Mailbox) -> None:
    settings = settings_for(
        mailbox=mailbox, smtp_security="starttls", smtp_user="ann", smtp_password="open-sesame"
    )
    (sent,) = send(settings, ALERT, pause=pytest.fail)
    assert "BOATHOUSE_SMTP_SECURITY" in sent.error
    assert mailbox.logins == [] and mailbox.mails == []


def test_one_channel_that_is_down_does_not_stop_the_other(mailbox: Mailbox) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/services/open-sesame"
    settings = settings_for(mailbox=mailbox, alert_webhook=nowhere)
    hooked, mailed = send(settings, ALERT, pause=lambda _: None)
    assert hooked.attempts == ATTEMPTS and "127.0.0.1 cannot be reached" in hooked.error
    assert mailed.is_sent
    (error,) = not_sent((hooked, mailed))
    assert "webhook (4 attempts)" in error.message and "open-sesame" not in str(error)


@pytest.mark.parametrize("address", ["http://x y/\n", "http://127.0.0.1/open-sesame 1"])
def test_address_that_is_none_is_reported_not_raised(address: str) -> None:
    (sent,) = send(Settings(alert_webhook=address), ALERT, pause=lambda _: None)
    assert not sent.is_sent and "open-sesame" not in sent.error


def test_secrets_do_not_show_when_settings_are_printed(hook: Webhook, mailbox: Mailbox) -> None:
    shown = repr(settings_for(hook, mailbox, smtp_password="open-sesame"))
    assert "open-sesame" not in shown


def result(name: str, status: str, failures: int | None = None) -> NodeResult:
    path = Path(f"models/{name}.yml")
    return NodeResult(f"test.{name}", name, "test", status, 0.1, f"Got {failures}", path, failures)


def report(*results: NodeResult) -> BuildReport:
    return BuildReport(7, results, 0.1, 0.1, 0.2, Path("compiled"))


def test_alert_for_a_build_names_failed_tests_their_files_and_rows() -> None:
    failed = report(result("a", "fail", 2), result("b", "pass", 0), result("c", "fail", 5))
    alert = alert_for(failed, settings=Settings(alert_link="http://here/"), path="/runs/9")
    assert alert.where == "a, c"
    assert alert.rows == 7
    assert alert.link == "http://here/runs/9"
    assert "models/a.yml" in alert.what and "[5 rows]" in alert.what and "b.yml" not in alert.what
    with pytest.raises(BuildError) as raised:
        failed.require_green()
    assert alert_for(raised.value).where == "a, c"


def test_alert_for_an_error_says_what_and_what_to_do() -> None:
    alert = alert_for(ContractError("no such type", hint="Mend it."), where="purchases")
    assert (alert.what, alert.where, alert.rows) == ("no such type\nMend it.", "purchases", None)


def test_failure_is_told_once_until_something_went_well(hook: Webhook) -> None:
    alarm = Alarm(settings_for(hook))
    assert alarm.tell(report(result("a", "fail", 2))) == []
    alarm.tell(report(result("a", "fail", 3)))
    assert len(hook.posted) == 1
    alarm.tell(report(result("c", "fail", 3)))
    assert len(hook.posted) == 2
    assert alarm.clear() == []
    assert hook.posted[2]["title"] == "Boathouse: it works again"
    assert hook.posted[2]["where"] == "a, c"
    alarm.tell(report(result("a", "fail", 2)))
    assert len(hook.posted) == 4


def test_that_it_works_again_is_told_only_if_it_did_not(hook: Webhook) -> None:
    assert Alarm(settings_for(hook)).clear() == []
    assert hook.posted == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            LakeError("Process 4711 is at it since 10:23:11."),
            LakeError("Process 4712 is at it since 10:24:05."),
        ),
        (
            DamagedError("1 of 3: /a-0a1b2c3d.parquet is gone", place="/a.parquet"),
            DamagedError("broken: 17", place="/a.parquet"),
        ),
    ],
)
def test_same_trouble_in_other_words_is_no_news(
    hook: Webhook, one: BoathouseError, other: BoathouseError
) -> None:
    alarm = Alarm(settings_for(hook))
    alarm.tell(one)
    alarm.tell(other)
    assert len(hook.posted) == 1
    alarm.tell(DamagedError("broken: 17", place="/b.parquet"))
    assert len(hook.posted) == 2


def test_alert_that_nobody_has_taken_is_sent_again_at_the_next_try(hook: Webhook) -> None:
    hook.answers = [400]
    alarm = Alarm(settings_for(hook))
    assert len(alarm.tell(ContractError("no such type"))) == 1
    assert alarm.tell(ContractError("no such type")) == []
    assert [posted["what"] for posted in hook.posted] == ["no such type"]
