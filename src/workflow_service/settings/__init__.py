"""The effective settings: environment over YAML file over defaults, every problem told at once.

Belongs here: names, places, defaults and rules of settings (`tree`, `rules`), reading them (`load`), reading secrets
again (`rereading`). This is the only package that reads the environment or the YAML file.
Does not belong here: using a setting. `app` alone imports this package; what is below gets plain values.
"""

from workflow_service.settings.load import SettingsError, describe, from_process, load
from workflow_service.settings.rereading import SecretFile, current
from workflow_service.settings.tree import Settings

__all__ = ["SecretFile", "Settings", "SettingsError", "current", "describe", "from_process", "load"]
