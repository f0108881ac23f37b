"""What the caller of the fault kit wants, checked before anything is started."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from workflow_service.faultkit.fleet import SQLITE, Size


class WrongOrder(ValueError):
    """An option that cannot be obeyed; the message names option, value and rule."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run of the fault kit; `command` repeats it."""

    size: Size
    seed: int
    as_json: bool
    command: str


def read_order(
    *, workflows: int, concurrency: int, output: str, seed: int | None, replicas: int | None, database_url: str | None
) -> Order:
    """The order behind the command line's options.

    Raises:
        WrongOrder: they do not go together.
    """
    sqlite = database_url == SQLITE
    if sqlite and replicas not in {None, 1}:
        raise WrongOrder(f"--replicas: {replicas} must be 1 with --database-url {SQLITE}: one process owns the file")
    if database_url is not None and not sqlite:
        _check(database_url)
    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    size = Size(workflows, replicas or (1 if sqlite else 2), concurrency, database_url)
    options = {"workflows": workflows, "seed": chosen, "replicas": size.replicas, "concurrency": concurrency}
    words = [f"--{name} {value}" for name, value in options.items()] + (["--database-url sqlite"] if sqlite else [])
    words += ["--database-url ..."] if database_url and not sqlite else []  # it may hold a password
    return Order(size, chosen, output == "json", f"workflow-service faultkit {' '.join(words)}")


def _check(url: str) -> None:
    try:
        backend = sa.make_url(url).get_backend_name()
    except sa.exc.ArgumentError:
        backend = ""
    if backend != "postgresql":
        raise WrongOrder(f"--database-url: must be {SQLITE} or postgresql://user@host/database")
