"""Job templates: what an operator wrote for work that only a program inside the cluster can do.

One YAML file per action, `<action>.yaml`, holding a batch/v1 Job. `${name}` in any of its texts stands for a parameter;
values come from checked parameters only and are put into texts, never into the structure of the document.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from executor_service.contract import Json

_PLACE = re.compile(r"\$\{([a-z_]+)\}")
_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Template:
    """A Job as its file says it, with places for values."""

    document: dict[str, Json]

    def filled(self, values: Mapping[str, str]) -> dict[str, Json]:
        """The Job with the values in their places. Raises KeyError naming a place that has no value."""
        return {name: _filled(part, values) for name, part in self.document.items()}


def load_templates(directory: Path | None) -> dict[str, Template | str]:
    """The templates of a directory by the name of their action; a text where one cannot be used."""
    if directory is None:
        return {}
    return {path.stem: _load(path) for path in sorted(directory.glob("*.yaml")) if not path.name.startswith(".")}


def _load(path: Path) -> Template | str:
    try:
        if path.stat().st_size > _LARGEST:
            return f"{path.name} is larger than {_LARGEST} bytes"
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"{path.name} cannot be read: {type(error).__name__}"
    problem = _problem(document)
    return f"{path.name}: {problem}" if problem else Template(document)


def _problem(document: Json) -> str | None:
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != ("batch/v1", "Job"):
        return "must be one Job of batch/v1"
    pod: Json = document
    for name in ("spec", "template", "spec"):
        pod = pod.get(name) if isinstance(pod, dict) else None
    if not isinstance(pod, dict) or not pod.get("containers"):
        return "spec.template.spec.containers is required"
    if pod.get("restartPolicy") not in {"Never", "OnFailure"}:
        return "spec.template.spec.restartPolicy must be Never or OnFailure"
    return None


def _filled(part: Json, values: Mapping[str, str]) -> Json:
    if isinstance(part, dict):
        return {name: _filled(item, values) for name, item in part.items()}
    if isinstance(part, list):
        return [_filled(item, values) for item in part]
    return _PLACE.sub(lambda place: values[place[1]], part) if isinstance(part, str) else part
