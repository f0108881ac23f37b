"""Slack's incoming webhooks, which Mattermost and others understand: one text in mrkdwn."""

from __future__ import annotations

import orjson

from workflow_service.clients.channels.posting import post
from workflow_service.clients.session import SharedSession
from workflow_service.domain.letters import Message

LONGEST = 3000  # characters of what a section may hold
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = str.maketrans({"`": "'", "*": "\u2217", "~": "\u223c"})


class SlackChannel:
    """Where it posts to."""

    def __init__(self, session: SharedSession, *, url: str) -> None:
        self._session, self._url = session, url

    async def tell(self, message: Message) -> None:
        """Post it once.

        Raises:
            NotTold: nobody has taken it.
        """
        body = orjson.dumps(
            {
                "text": text(message),
                "mrkdwn": True,
                "link_names": False,
                "unfurl_links": False,
                "unfurl_media": False,
            }
        )
        headers = {"Content-Type": "application/json"}
        await post(self._session, self._url, body, headers, name="NOTIFY_SLACK_URL")


def text(message: Message) -> str:
    """The message in mrkdwn. Nothing that it quotes can mention anybody, make a link or look like our own words."""
    links = " | ".join(f"<{one.url.translate(_ESCAPED)}|{escaped(one.label)}>" for one in message.links)
    room = LONGEST - len(links) - 20
    told = f"*{escaped(message.headline)}*"
    for line in message.lines:
        more = f"\n{escaped(line)}"
        if len(told) + len(more) > room:
            told += "\n…"
            break
        told += more
    return f"{told}\n{links}" if links else told


def escaped(quoted: str) -> str:
    """As Slack asks for: the three characters that control; and those that format, so that nobody else's text does."""
    return quoted.translate(_ESCAPED).translate(_MARKS).replace("://", ":\u2060//")
