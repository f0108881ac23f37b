"""The whole cluster behind the API: store, control plane, audit and scripted faults, seeded and re-seeded together."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from executor_service.sandbox.audit import Audit
from executor_service.sandbox.controllers.plane import ControlPlane
from executor_service.sandbox.faults import Faults
from executor_service.sandbox.kinds import SWITCHED_OFF
from executor_service.sandbox.seeding import plant
from executor_service.sandbox.store import Store

_AGE = timedelta(hours=1)
"""How old a cluster looks when it starts."""


class Cluster:
    """One sandbox cluster. `speed` divides the delays of its controllers."""

    def __init__(self, *, speed: float = 1.0, audit_file: Path | None = None) -> None:
        self.store = Store(self._now)
        self.audit = Audit(self.store.now, audit_file)
        self.faults = Faults()
        self.switched_off: set[str] = set(SWITCHED_OFF)
        self._plane = ControlPlane(self.store, speed)
        self._live = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Seed, settle in virtual time, then let real time pass."""
        self._live = False
        plant(self.store, self._plane.work)
        self._live = True
        self._plane.work.attach(loop)

    def reset(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin again: objects, faults and audit; versions go on, so that nothing old is taken for new."""
        self._plane.clear()
        self.store.forget()
        self.faults.clear()
        self.audit.clear()
        self.switched_off = set(SWITCHED_OFF)
        self.start(loop)

    def close(self) -> None:
        """Stop the controllers and close the audit file."""
        self._plane.work.clear()
        self.audit.close()

    def _now(self) -> datetime:
        """Real time, or a past that virtual time moves through while the cluster settles."""
        now = datetime.now(UTC)
        return now if self._live else now - _AGE + timedelta(seconds=self._plane.work.virtual_seconds)
