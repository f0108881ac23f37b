"""What a setting's text may be that names others: the executors of clusters, watchdogs, who is told of alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from workflow_service.domain.watchdog import Watchdog
from workflow_service.settings import rules

_CLUSTER = re.compile(r"[A-Za-z0-9._-]{1,63}")
_WATCHDOGS = 20


def named_urls(text: str) -> Mapping[str, str]:
    """Base URLs by the names of clusters, `name=url` with commas between them; empty: none."""
    return {name: str(rules.url("http", "https")(value)) for name, value in _named(text, "https://executor.eu:8084")}


def named_files(text: str) -> Mapping[str, Path]:
    """Files that can be read, by the names of clusters, `name=path` with commas between them; empty: none."""
    return {name: rules.file(value) for name, value in _named(text, "/run/secrets/eu")}


def _named(text: str, example: str) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, value = part.partition("=")
        if not _CLUSTER.fullmatch(name) or not value or name in seen:
            raise ValueError(f"must be name={example} for each cluster once, with commas between them")
        seen.add(name)
        yield name, value


def address(text: str) -> str:
    """A whole URL, path and query included."""
    try:
        parts, port = urlsplit(text), urlsplit(text).port
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or re.search(r"\s", text):
        raise ValueError("must be a URL that begins with http:// or https://")
    return text


def watchdogs(text: str) -> tuple[Watchdog, ...]:
    """Labels that tell a watchdog, `label=value` with commas between them; several watchdogs with semicolons."""
    found = tuple(Watchdog(tuple(map(_pair, one.split(",")))) for one in text.split(";"))
    pairs = [pair for one in found for pair in one.labels]
    if not all(value and rules.LABEL.fullmatch(label) for label, value in pairs) or len(found) > _WATCHDOGS:
        raise ValueError(f"must be like alertname=Watchdog,cluster=eu, up to {_WATCHDOGS} with semicolons between them")
    return found


def _pair(text: str) -> tuple[str, str]:
    label, _, value = text.partition("=")
    return label.strip(), value.strip()
