"""Telling a person that something failed: one message, by webhook, by e-mail, or by both.

A webhook gets a JSON object with `text` (what chat tools show) and every field of the alert.
Nothing here raises into the run that failed: what could not be sent comes back as a report.
"""

import json
import re
import smtplib
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from email.message import EmailMessage

from boathouse.build.report import BuildReport
from boathouse.errors import AlertError, BoathouseError, BuildError
from boathouse.settings import Settings

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
MOST_TEXT = 4_000  # characters of `what`: chat tools cut or refuse longer messages
_SHOWN = 10
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_CHANGING = re.compile(r"\b[0-9a-f-]{8,}\b|\d+")  # ids, numbers, times
_TRANSIENT_STATUS = (408, 425, 429)  # and all from 500


@dataclass(frozen=True)
class Alert:
    """What failed and where; `rows` is None when it is not about rows."""

    title: str
    what: str
    where: str  # model, test, source or file
    rows: int | None = None
    link: str = ""

    @property
    def text(self) -> str:
        """Return the whole message as lines of text."""
        lines = [self.title, "", self.what]
        if self.where:
            lines.append(f"Where: {self.where}")
        if self.rows is not None:
            lines.append(f"Rows: {self.rows:,}")
        if self.link:
            lines.append(f"Look at: {self.link}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Sent:
    """What became of an alert on one channel; `error` is empty when it was taken."""

    channel: str  # webhook or e-mail
    attempts: int
    error: str = ""

    @property
    def is_sent(self) -> bool:
        """Return whether the other side has taken it."""
        return not self.error


def alert_for(
    failure: BuildReport | BoathouseError,
    *,
    title: str = "Boathouse: a run failed",
    where: str = "",
    path: str = "",
    settings: Settings | None = None,
) -> Alert:
    """Return the alert for a build that is not green, or for an error.

    Args:
        failure: What came out.
        title: The first line.
        where: What failed, when the failure itself does not say.
        path: Where to look, below `BOATHOUSE_ALERT_LINK`, such as `/runs/1234`.
        settings: With the start of links.
    """
    base = settings.alert_link if settings else ""
    link = f"{base.rstrip('/')}/{path.lstrip('/')}" if base and path else base
    report = failure.report if isinstance(failure, BuildError) else failure
    if isinstance(report, BuildReport):
        return _of_build(report, title, where, link)
    place = where or (failure.place if isinstance(failure, BoathouseError) else "")
    return Alert(title, _cut(str(failure)), place, None, link)


def _of_build(report: BuildReport, title: str, where: str, link: str) -> Alert:
    failed = report.failed or tuple(each for each in report.results if not each.is_green)
    lines = [str(result) for result in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        lines.append(f"… and {len(failed) - _SHOWN} more")
    rows = [result.failures for result in failed if result.failures is not None]
    return Alert(
        title=title,
        what=_cut("\n".join(lines) or "Nothing failed by itself."),
        where=where or ", ".join(result.name for result in failed[:_SHOWN]),
        rows=sum(rows) if rows else None,
        link=link,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} …"


def send(
    settings: Settings,
    alert: Alert,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Sent, ...]:
    """Send an alert on every channel that is set up, and return what became of it on each.

    What is likely to pass (no connection, a busy server) is tried again after a pause that grows.
    One channel does not wait for the success of another. Raises nothing.
    """
    sent = [
        _with_retries(channel, deliver, pause) for channel, deliver in _channels(settings, alert)
    ]
    return tuple(replace(each, error=_without_secrets(each.error, settings)) for each in sent)


def _without_secrets(text: str, settings: Settings) -> str:
    webhook = settings.alert_webhook.get_secret_value() if settings.alert_webhook else ""
    path = urllib.parse.urlsplit(webhook).path.strip("/")
    for secret in (webhook, path, settings.smtp_password.get_secret_value()):
        text = text.replace(secret, "…") if secret else text
    return text


def _channels(settings: Settings, alert: Alert) -> Iterator[tuple[str, Callable[[], None]]]:
    if settings.alert_webhook is not None and settings.alert_webhook.get_secret_value():
        yield "webhook", lambda: _post(settings, alert)
    if settings.alert_email_to.strip():
        yield "e-mail", lambda: _mail(settings, alert)


class _TransientError(Exception):
    """It may work the next time."""


def _with_retries(
    channel: str, deliver: Callable[[], None], pause: Callable[[float], None]
) -> Sent:
    seconds = FIRST_PAUSE_SECONDS
    attempt = 1
    while True:
        try:
            deliver()
            return Sent(channel, attempt)
        except _TransientError as error:
            if attempt == ATTEMPTS:
                return Sent(channel, attempt, str(error))
        except _RefusedError as error:
            return Sent(channel, attempt, str(error))
        except Exception as error:  # whatever it is, the run goes on
            return Sent(channel, attempt, f"{type(error).__name__}: {error}")
        pause(seconds)
        attempt, seconds = attempt + 1, seconds * 2


class _RefusedError(Exception):
    """The other side will not take it, however often it is asked."""


def _post(settings: Settings, alert: Alert) -> None:
    assert settings.alert_webhook is not None
    address = settings.alert_webhook.get_secret_value()
    parts = urllib.parse.urlsplit(address)
    # Only the host is ever told: the rest of a webhook's address is its password.
    host = parts.hostname or "?"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _RefusedError("BOATHOUSE_ALERT_WEBHOOK is no http:// or https:// address")
    body = json.dumps({"text": alert.text, **asdict(alert)}).encode()
    request = urllib.request.Request(
        address, body, {"Content-Type": "application/json", "User-Agent": "boathouse"}
    )
    try:
        with _OPENER.open(request, timeout=PATIENCE_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        told = f"{host} answered {error.code} {error.reason}"
        if error.code >= 500 or error.code in _TRANSIENT_STATUS:
            raise _TransientError(told) from None
        raise _RefusedError(told) from None
    except urllib.error.URLError as error:
        raise _TransientError(f"{host} cannot be reached: {error.reason}") from None
    except OSError as error:
        raise _TransientError(f"{host} does not answer: {error}") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET with nothing in it."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _mail(settings: Settings, alert: Alert) -> None:
    recipients = [each.strip() for each in settings.alert_email_to.split(",") if each.strip()]
    message = EmailMessage()
    message["Subject"] = " ".join(f"{alert.title}: {alert.where}".split())[:200].rstrip(": ")
    message["From"] = settings.alert_email_from
    message["To"] = ", ".join(recipients)
    message.set_content(alert.text)
    try:
        with _connected(settings) as server:
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise _judged(next(iter(error.recipients.values()))) from None
    except smtplib.SMTPResponseException as error:
        raise _judged((error.smtp_code, error.smtp_error)) from None
    except smtplib.SMTPNotSupportedError as error:
        raise _RefusedError(
            f"{settings.smtp_host} cannot do what was asked ({error}); see BOATHOUSE_SMTP_SECURITY"
        ) from None
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        if isinstance(error, ssl.SSLCertVerificationError):
            raise _RefusedError(f"{settings.smtp_host}: {error}") from None
        raise _TransientError(f"{settings.smtp_host} cannot be reached: {error}") from None
    if refused:
        raise _RefusedError(f"{settings.smtp_host} does not take mail for {', '.join(refused)}")


def _connected(settings: Settings) -> smtplib.SMTP:
    port = settings.smtp_port or _PORTS[settings.smtp_security]
    host, context = settings.smtp_host, ssl.create_default_context()
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=PATIENCE_SECONDS, context=context)
    server = smtplib.SMTP(host, port, timeout=PATIENCE_SECONDS)
    if settings.smtp_security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _judged(answer: tuple[int, bytes | str]) -> Exception:
    code, said = answer
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    told = f"the mail server answered {code} {text}"
    return _TransientError(told) if 400 <= code < 500 else _RefusedError(told)


class Alarm:
    """Sends each distinct failure once until something has gone well again, and then says so."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: dict[str, Alert] = {}
        self._since = 0.0

    def tell(self, failure: BuildReport | BoathouseError, **about: str) -> list[AlertError]:
        """Send the alert for a failure, unless that was done; return what could not be sent.

        An alert that no channel has taken is sent again the next time.
        """
        alert = alert_for(failure, settings=self._settings, **about)
        # Of the same trouble, rows, processes and temporary names may differ each time.
        what = f"{type(failure).__name__} {alert.where or _CHANGING.sub('', alert.what)}"
        if what in self._told:
            return []
        sent = send(self._settings, alert)
        if any(each.is_sent for each in sent) or not sent:
            self._since = self._since or time.monotonic()
            self._told[what] = alert
        return not_sent(sent)

    def clear(self) -> list[AlertError]:
        """Note that all is well, and say so if an alert was sent; return what could not be sent.

        The next failure is news, whatever it is.
        """
        told, minutes = list(self._told.values()), (time.monotonic() - self._since) / 60
        self._told.clear()
        self._since = 0.0
        if not told:
            return []
        where = ", ".join(dict.fromkeys(alert.where for alert in told if alert.where))
        what = f"A run has gone well again, {minutes:,.0f} minutes after the first alert."
        link = told[-1].link
        return not_sent(
            send(self._settings, Alert("Boathouse: it works again", what, where, link=link))
        )


def not_sent(sent: tuple[Sent, ...]) -> list[AlertError]:
    """Return an error to show for each channel on which an alert could not be sent."""
    return [
        AlertError(
            f"The alert could not be sent by {each.channel} ({each.attempts} attempts): "
            f"{each.error}",
            hint="Check the BOATHOUSE_ALERT_… and BOATHOUSE_SMTP_… settings.",
        )
        for each in sent
        if not each.is_sent
    ]
