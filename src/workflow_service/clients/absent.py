"""The executor of a cluster that no executor is named for: nobody answers there, and nothing is ever sent elsewhere.

A workflow meets it when its cluster was taken out of the settings while it ran: its steps are held, and it ends by its
bounds, as with an executor that is away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import Unreachable
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, NeverSeen, Observation


class AbsentExecutor:
    """`ports.Executor` of a cluster without one."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    async def ledger_id(self) -> str | None:
        """Nobody says."""
        self._nobody()

    async def execute(self, request: ActionRequest) -> ActionOutcome:  # noqa: ARG002 - the port's
        """Nothing is sent."""
        self._nobody()

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:  # noqa: ARG002 - the port's
        """Nobody says."""
        self._nobody()

    async def cancel(self, key: str) -> ActionOutcome:  # noqa: ARG002 - the port's
        """Nobody is told."""
        self._nobody()

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """Nobody says."""
        self._nobody()

    async def observe(self, target: Target) -> Observation:  # noqa: ARG002 - the port's
        """Nobody looks."""
        self._nobody()

    async def measure(self, promql: str) -> Observation:  # noqa: ARG002 - the port's
        """Nobody is asked."""
        self._nobody()

    async def healthy(self) -> bool:
        """There is none."""
        return False

    def _nobody(self) -> NoReturn:
        raise Unreachable(f"no executor is named for cluster {self._cluster}")
