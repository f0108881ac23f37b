"""Writes deploy/microservices/executor-rbac.yaml: the rights for the settings of the manifest beside it."""

from pathlib import Path

import yaml

from executor_service import __version__
from executor_service.actions.catalogue import Catalogue
from executor_service.actions.roles import chosen_roles, manifests

_DEPLOY = Path(__file__).parents[1] / "deploy" / "microservices"
PAGE = _DEPLOY / "executor-rbac.yaml"


def render() -> str:
    """What `executor-service rbac` prints for those settings."""
    specs = Catalogue().specs
    asked = {item.setting for spec in specs for item in spec.requires} | {n for spec in specs for n in spec.needs_with}
    settings = frozenset(name for name in _set() if name in asked)
    roles = chosen_roles(specs, families=(), settings=settings)
    return manifests(roles, namespace="kubernaut", account="executor-service", version=__version__)


def _set() -> set[str]:
    documents = yaml.safe_load_all((_DEPLOY / "executor-deployment.yaml").read_text("utf-8"))
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"] for entry in container["env"]}
