"""How hard hypothesis tries: `HYPOTHESIS_PROFILE` is dev (default), ci, or thorough (5,000 runs of the machines)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_BUSY_MACHINE = (HealthCheck.too_slow, HealthCheck.data_too_large)
MACHINES = {"dev": 300, "ci": 300, "thorough": 5000}  # runs of each state machine
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")
PATIENCE = MACHINES[PROFILE]  # seconds that a state machine may take, on a busy machine too


def load() -> None:
    """Register the profiles and load the one that the environment names."""
    settings.register_profile("dev", max_examples=80, stateful_step_count=40, derandomize=True)
    settings.register_profile("ci", max_examples=800, stateful_step_count=60, print_blob=True)
    settings.register_profile("thorough", max_examples=2000, stateful_step_count=50, print_blob=True)
    for profile in MACHINES:
        patient = settings.get_profile(profile)
        settings.register_profile(profile, patient, deadline=None, suppress_health_check=_BUSY_MACHINE)
    settings.load_profile(PROFILE)


def thorough() -> settings:
    """For the state machines of an execution, which have to be tried more often than the rest."""
    return settings(max_examples=MACHINES[PROFILE])
