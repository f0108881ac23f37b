"""To whom a notice goes: channels, routes by severity and namespace, and who is told when nobody answers. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

NOBODY = ""  # the channel of a notice for which none is configured


@dataclass(frozen=True, slots=True)
class Route:
    """What a kind of channel is told; None: whatever it is."""

    channel: str  # slack, webhook or email
    severities: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None

    def covers(self, severity: str, namespace: str) -> bool:
        """Whether alerts of that severity and namespace are told."""
        severe = self.severities is None or severity.lower() in self.severities
        return severe and (self.namespaces is None or namespace in self.namespaces)


def kind_of(channel: str) -> str:
    """Which kind of channel it is: of `email:ana@example.com` it is `email`."""
    return channel.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Addressees:
    """Who is there to be told: `slack`, `webhook`, `email:<address>`."""

    channels: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()  # a kind of channel that has none is told everything
    escalation: frozenset[str] | None = None  # kinds of channels that are told when nobody answers; None: all

    def of(self, severity: str, namespace: str, *, escalating: bool = False) -> Collection[str]:
        """The channels that are told of an alert. Who is escalated to is told wherever the alert comes from."""
        if escalating and self.escalation is not None:
            return tuple(one for one in self.channels if kind_of(one) in self.escalation)
        return tuple(one for one in self.channels if self._covers(kind_of(one), severity, namespace))

    def _covers(self, kind: str, severity: str, namespace: str) -> bool:
        routes = [route for route in self.routes if route.channel == kind]
        return not routes or any(route.covers(severity, namespace) for route in routes)
