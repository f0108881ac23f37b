"""E-mail over SMTP: plain text, one message for each recipient."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib

from workflow_service.domain.errors import NotTold
from workflow_service.domain.letters import Message

_TIMEOUT = 8.0  # seconds for each exchange
_WHOLE = 20.0  # seconds for all of it


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server. TLS from the first byte (`smtps`), or asked for; never a password without it."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None


def server(url: str) -> Server:
    """The server of a URL such as smtps://user:password@mail.example:465."""
    parts = urlsplit(url)
    tls = parts.scheme == "smtps"
    user, password = parts.username, parts.password
    return Server(
        host=parts.hostname or "",
        port=parts.port or (465 if tls else 25),
        tls=tls,
        username=unquote(user) if user else None,
        password=unquote(password) if password else None,
    )


class EmailChannel:
    """Writes to one address. The server's URL is asked for before every message: its password may change."""

    def __init__(self, url: Callable[[], str], *, sender: str, recipient: str, ca_bundle: Path | None = None) -> None:
        self._url, self._sender, self._recipient, self._ca_bundle = url, sender, recipient, ca_bundle

    async def tell(self, message: Message) -> None:
        """Hand it to the server once.

        Raises:
            NotTold: the server has not taken it.
        """
        to = server(self._url())
        mail = written(message, sender=self._sender, recipient=self._recipient)
        try:
            async with asyncio.timeout(_WHOLE):
                await aiosmtplib.send(
                    mail,
                    hostname=to.host,
                    port=to.port,
                    username=to.username,
                    password=to.password,
                    timeout=_TIMEOUT,
                    use_tls=to.tls,
                    # With a password the server must offer STARTTLS; without one it is used where it is offered.
                    start_tls=None if to.tls or not to.username else True,
                    tls_context=ssl.create_default_context(cafile=self._ca_bundle),
                )
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            raise NotTold(f"NOTIFY_SMTP_URL does not take it: {type(error).__name__}") from error


def written(message: Message, *, sender: str, recipient: str) -> EmailMessage:
    """The message as a mail. Headers hold one line of printable text each; the rest is text, and nothing is markup."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = " ".join(f"[workflow-service] {message.headline}".split())
    mail["Date"] = format_datetime(datetime.fromisoformat(message.at))
    mail["Message-ID"] = f"<{message.id}@workflow-service>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    links = [f"{one.label}: {one.url}" for one in message.links]
    mail.set_content("\n".join([message.headline, "", *message.lines, "", *links, ""]))
    return mail
