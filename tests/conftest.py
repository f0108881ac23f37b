"""What all tests share: how hard hypothesis tries. `HYPOTHESIS_PROFILE=ci` looks longer and at ever new examples."""

import os

from hypothesis import HealthCheck, settings

_BUSY_MACHINE = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile("dev", max_examples=80, stateful_step_count=40, derandomize=True)
settings.register_profile("ci", max_examples=800, stateful_step_count=60, print_blob=True)
for profile in ("dev", "ci"):
    settings.register_profile(
        profile, settings.get_profile(profile), deadline=None, suppress_health_check=_BUSY_MACHINE
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
