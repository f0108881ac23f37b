"""Looking at a workflow again and again until it ends, over the hiccups of a service that is restarted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from workflow_service.cli.calling import Failed, Service

LOOK = 1.0  # seconds between two looks
HICCUP = 30.0  # seconds that the service may be away in between


def following(service: Service, workflow_id: str) -> Iterator[Any]:
    """The workflow, as it is seen until it has ended; at first the service has to be there.

    Raises:
        Failed: the service refused, or was away for too long.
    """
    found = service.call("GET", "api", "v1", "workflows", workflow_id)
    yield found
    while not found["ended_at"]:
        time.sleep(LOOK)
        found = _patiently(service, workflow_id)
        yield found


def _patiently(service: Service, workflow_id: str) -> Any:
    until = time.monotonic() + HICCUP
    while True:
        try:
            return service.call("GET", "api", "v1", "workflows", workflow_id)
        except Failed as failed:
            if not failed.passing or time.monotonic() > until:
                raise
        time.sleep(LOOK)
