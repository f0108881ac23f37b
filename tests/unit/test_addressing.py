"""Who is told of what: settings that say so, mistakes in them, and routes by severity and namespace."""

from __future__ import annotations

import pytest

from workflow_service.clients.channels.email import server
from workflow_service.clients.channels.slack import text
from workflow_service.domain.addressing import Addressees
from workflow_service.domain.letters import Link, Message
from workflow_service.settings import SettingsError, load

pytestmark = pytest.mark.requirement("BR-WF-005")
MAIL = {"NOTIFY_SMTP_URL": "smtp://mail:25", "NOTIFY_EMAIL_FROM": "a@b.example", "NOTIFY_EMAIL_TO": "c@d.example"}


def test_routes_and_escalation() -> None:
    """A kind without a route is told everything; who is escalated to, wherever it comes from."""
    given = load({"NOTIFY_ROUTES": "slack=critical+HIGH@shop; email=*@billing", "NOTIFY_ESCALATION": "email"}).notify
    found = Addressees(("slack", "webhook", "email:a@b.example"), given.routes, given.escalate_to)
    assert found.of("Critical", "shop") == ("slack", "webhook")
    assert found.of("low", "shop") == ("webhook",)
    assert found.of("low", "billing") == ("webhook", "email:a@b.example")
    assert found.of("low", "shop", escalating=True) == ("email:a@b.example",)
    everybody = Addressees(found.channels)
    assert everybody.of("low", "", escalating=True) == found.channels


@pytest.mark.parametrize(
    ("environment", "rule"),
    [
        ({"NOTIFY_ROUTES": "pager=*"}, "must be routes for slack, webhook, email"),
        ({"NOTIFY_ROUTES": "slack=@shop"}, "must be routes"),
        ({"NOTIFY_ESCALATION": "pager"}, "must be one or more of slack, webhook, email"),
        ({**MAIL, "NOTIFY_SMTP_URL": "http://mail"}, "must be a URL that begins with smtp:// or smtps://"),
        ({**MAIL, "NOTIFY_SMTP_URL": "smtp://mail/inbox"}, "must be like smtps://user"),
        ({**MAIL, "NOTIFY_EMAIL_TO": "ana"}, "must be e-mail addresses"),
        ({**MAIL, "NOTIFY_EMAIL_TO": "ana@b.example\nBcc: x@y.example"}, "must be e-mail addresses"),
        ({**MAIL, "NOTIFY_EMAIL_FROM": "wfs"}, "must be an e-mail address"),
        ({"NOTIFY_SMTP_URL": "smtp://mail"}, "must be given together"),
        ({"NOTIFY_WEBHOOK_URL": "https://hook.example"}, "must be given together"),
        ({"APPROVAL_WARNING": "2"}, "must be a number from 0 to 1"),
        ({"PUBLIC_URL": "http://wfs.example"}, "must be a URL that begins with https://"),
        ({"LINK_IDENTITIES": "slack=ana"}, "must be given with LINK_SECRET and PUBLIC_URL"),
        ({"LINK_IDENTITIES": "pager=ana"}, "must be like ana@example.com=oidc:ana"),
        ({"LINK_SECRET": "short"}, "must be one or two secrets of 24 bytes"),
    ],
)
def test_mistakes_refuse_the_start(environment: dict[str, str], rule: str) -> None:
    """And say what would be right."""
    with pytest.raises(SettingsError) as error:
        load(environment)
    assert rule in "\n".join(error.value.problems)


def test_a_mail_servers_url() -> None:
    """Ports as usual; names and passwords as in any URL."""
    assert (server("smtp://mail").port, server("smtps://mail").port, server("smtp://mail:2525").port) == (25, 465, 2525)
    found = server("smtps://ana%40b:p%2Fw@mail")
    assert (found.username, found.password, found.tls) == ("ana@b", "p/w", True)


def test_slack_holds_only_so_much() -> None:
    """A long message is cut, and says so; its links are all there, and the label's text cannot leave them."""
    links = (Link("Approve>|<!here>", "https://wfs.example/a?b=1&c=2"),)
    found = text(Message("id", "approval.asked", "", "headline", ["x" * 400] * 20, links, {}))
    assert len(found) <= 3000
    assert found.endswith("\n…\n<https://wfs.example/a?b=1&amp;c=2|Approve&gt;|&lt;!here&gt;>")
