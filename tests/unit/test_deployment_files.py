"""The deployment files are sound without a cluster: schema, references between them, and what hardening promises."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from executor_service import settings as executor_settings
from executor_service.actions.catalogue import Catalogue
from executor_service.actions.requirements import GUARDING, LOOKING
from executor_service.actions.roles import enabled, needs_of
from executor_service.kubernetes.templates import Template, load_templates
from workflow_service import __version__
from workflow_service import settings as workflow_settings
from workflow_service.settings import Settings, describe

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "microservices"
KUBERNETES_VERSIONS = ("1.28.0", "1.32.0", "1.37.0")
PORTS = {"workflow-service": 8083, "executor-service": 8084}
GRACE = {"workflow-service": 30, "executor-service": 30}  # seconds in which the service stops by itself
Document = Mapping[str, Any]


def documents(service: str) -> list[Document]:
    """Every object of a service's manifests."""
    files = sorted(MANIFESTS.glob(f"{service.removesuffix('-service')}-*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text("utf-8")) if document]


EVERYTHING = [(service, document) for service in PORTS for document in documents(service)]
IDS = [f"{service}:{document['kind']}" for service, document in EVERYTHING]


def the(service: str, kind: str) -> Document:
    """The one object of that kind."""
    (found,) = [document for document in documents(service) if document["kind"] == kind]
    return found


def pod(service: str) -> Document:
    """The pod's spec."""
    spec: Document = the(service, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(service: str) -> Document:
    """The one container of a pod."""
    (found,) = pod(service)["containers"]
    checked: Document = found
    return checked


def environment(service: str) -> dict[str, Document]:
    """The container's variables by name."""
    return {entry["name"]: entry for entry in container(service)["env"]}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize(("service", "document"), EVERYTHING, ids=IDS)
def test_every_object_fits_its_schema(service: str, document: Document, version: str) -> None:
    """No wrong type, unknown field or missing field; a kind without a schema fails too."""
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(("service", "document"), EVERYTHING, ids=IDS)
def test_every_object_is_labelled_and_placed(service: str, document: Document) -> None:
    """The recommended labels say whose object it is; what lives in a namespace names ours."""
    labels = document["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "kubernaut"
    if document["kind"] == "Namespace":
        assert document["metadata"]["name"] == "kubernaut"
        return
    assert labels["app.kubernetes.io/name"] == service
    assert labels["app.kubernetes.io/version"] == __version__
    assert labels["app.kubernetes.io/component"]
    if not document["kind"].startswith("ClusterRole"):
        assert document["metadata"]["namespace"] == "kubernaut"


def test_both_files_declare_the_same_namespace() -> None:
    """Each file can be applied alone, and together they do not contradict each other."""
    assert the("workflow-service", "Namespace") == the("executor-service", "Namespace")


@pytest.mark.parametrize("service", PORTS)
def test_name_image_and_port_are_the_specified_ones(service: str) -> None:
    """Names, image and ports come from the specification."""
    deployment, exposed = the(service, "Deployment"), the(service, "Service")
    assert deployment["metadata"]["name"] == exposed["metadata"]["name"] == service
    assert container(service)["image"] == f"quay.io/jordigilh/{service}:{__version__}"
    assert container(service)["ports"] == [{"name": "http", "containerPort": PORTS[service]}]
    assert exposed["spec"]["ports"] == [{"name": "http", "port": PORTS[service], "targetPort": "http"}]


@pytest.mark.parametrize("service", PORTS)
def test_every_selector_finds_the_pods(service: str) -> None:
    """Deployment, Service, NetworkPolicy and the rest select what the template labels."""
    template = the(service, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for selector in selectors(service):
        assert selector
        assert selector.items() <= template.items()


def selectors(service: str) -> Iterator[Mapping[str, str]]:
    """All selectors that are to match the service's own pods."""
    for document in documents(service):
        spec = document.get("spec", {})
        match document["kind"]:
            case "Service":
                yield spec["selector"]
            case "Deployment" | "PodDisruptionBudget":
                yield spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                yield spec["podSelector"]["matchLabels"]
            case _:
                pass
    for constraint in pod(service).get("topologySpreadConstraints", ()):
        yield constraint["labelSelector"]["matchLabels"]


@pytest.mark.parametrize("service", PORTS)
def test_probes_ask_the_right_questions(service: str) -> None:
    """Life asks the process only, readiness asks what it needs; all on the service's own port."""
    spec = container(service)
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert spec[probe]["httpGet"] == {"path": path, "port": "http"}


@pytest.mark.parametrize("service", PORTS)
def test_the_pod_is_hardened(service: str) -> None:
    """What Kubernetes' `restricted` level asks for, a read-only root, and bounds for memory."""
    spec, of_pod = container(service), pod(service)["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["runAsUser"] == 1001
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    security = spec["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert spec["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in spec["resources"]["limits"]
    volumes = {volume["name"]: volume for volume in pod(service)["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["volumeMounts"]}
    assert "emptyDir" in volumes[mounts["/tmp"]]  # noqa: S108 - a mount point, not a file
    assert set(mounts.values()) == volumes.keys()


@pytest.mark.parametrize("service", PORTS)
def test_the_pod_may_stop_in_peace(service: str) -> None:
    """Kubernetes kills no earlier than the service needs to stop by itself."""
    assert pod(service)["terminationGracePeriodSeconds"] > GRACE[service]


def test_every_variable_is_a_setting() -> None:
    """No variable that nobody reads: a misspelt one would be ignored in silence."""
    known = {name for name, _, _ in describe(Settings())}
    for name in environment("workflow-service"):
        assert name.removesuffix("_FILE") in known
    asked: set[str] = set()

    class Recording(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.add(key)
            return default

    executor_settings.load(Recording())
    assert environment("executor-service").keys() <= asked


def given(service: str, token: Path) -> dict[str, str]:
    """The environment as the pod gets it: the token at another place, a database from the secret, a namespace."""
    secrets = {"DATABASE_URL": "postgresql://user:word@database/kubernaut", "EXECUTOR_TOKEN_FILE": str(token)}
    secrets["POD_NAMESPACE"] = "kubernaut"
    return {name: secrets.get(name) or str(entry["value"]) for name, entry in environment(service).items()}


def test_both_services_start_with_what_the_pods_get(tmp_path: Path) -> None:
    """The settings accept the environment of the manifests as it stands."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n", encoding="utf-8")
    ours = workflow_settings.load(given("workflow-service", token))
    theirs = executor_settings.load(given("executor-service", token))
    assert ours.service_coordination.executor_token == theirs.token == "0123456789abcdef"
    assert ours.cluster_name == theirs.cluster_name
    assert (ours.service_port, theirs.port) == (PORTS["workflow-service"], PORTS["executor-service"])


@pytest.mark.parametrize("service", PORTS)
def test_service_links_do_not_overwrite_the_port(service: str) -> None:
    """Kubernetes would set WORKFLOW_SERVICE_PORT=tcp://... for a Service of that name; ours says the number."""
    assert pod(service)["enableServiceLinks"] is False
    name = f"{service.removesuffix('-service').upper()}_SERVICE_PORT"
    assert environment(service)[name]["value"] == str(PORTS[service])
    assert environment(service)["HOST"]["value"] == "0.0.0.0"  # noqa: S104 - read, not bound


def test_no_secret_stands_in_the_files() -> None:
    """The database's address and the token come from secrets, the token as a file in both pods."""
    assert environment("workflow-service")["DATABASE_URL"]["valueFrom"]["secretKeyRef"]["name"] == "workflow-service"
    assert not [document for _, document in EVERYTHING if document["kind"] == "Secret"]
    for service in PORTS:
        path = Path(environment(service)["EXECUTOR_TOKEN_FILE"]["value"])
        (mount,) = [m for m in container(service)["volumeMounts"] if m["mountPath"] == str(path.parent)]
        (volume,) = [v for v in pod(service)["volumes"] if v["name"] == mount["name"]]
        assert mount["readOnly"] is True
        assert volume["secret"]["secretName"] == "executor-token"


def test_the_two_services_find_each_other() -> None:
    """Address, cluster name and network policy fit together."""
    environment_of = environment("workflow-service")
    assert environment_of["EXECUTOR_SERVICE_URL"]["value"] == "http://executor-service:8084"
    assert environment_of["CLUSTER_NAME"] == environment("executor-service")["CLUSTER_NAME"]
    (rule,) = the("executor-service", "NetworkPolicy")["spec"]["ingress"]
    caller = the("workflow-service", "Deployment")["spec"]["template"]["metadata"]["labels"]
    (source,) = rule["from"]
    assert source["podSelector"]["matchLabels"].items() <= caller.items()
    assert rule["ports"] == [{"protocol": "TCP", "port": 8084}]


def test_several_replicas_share_a_database_and_nobody_outside_reaches_them() -> None:
    """Two replicas need PostgreSQL; without authentication only the namespace may come in."""
    assert the("workflow-service", "Deployment")["spec"]["replicas"] == 2
    assert "DATABASE_URL" in environment("workflow-service")
    assert environment("workflow-service")["AUTH_MODE"]["value"] == "none"
    policy = the("workflow-service", "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 8083}]}]


def test_one_executor_keeps_its_ledger() -> None:
    """One active instance, never two at once, and a ledger that outlives the pod."""
    spec = the("executor-service", "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    data = environment("executor-service")["DATA_DIR"]["value"]
    (mount,) = [m for m in container("executor-service")["volumeMounts"] if m["mountPath"] == data]
    (volume,) = [v for v in pod("executor-service")["volumes"] if v["name"] == mount["name"]]
    claim = the("executor-service", "PersistentVolumeClaim")["metadata"]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim


def test_only_the_executor_talks_to_kubernetes() -> None:
    """workflow-service gets no token; the executor's account is bound to every role of its own, and to no other."""
    assert the("workflow-service", "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod("workflow-service")["automountServiceAccountToken"] is False
    account = the("executor-service", "ServiceAccount")["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    bindings = [one for one in documents("executor-service") if one["kind"] == "ClusterRoleBinding"]
    assert [one["subjects"] for one in bindings] == [[subject]] * len(bindings)
    bound = [(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in bindings]
    roles = [one["metadata"]["name"] for one in documents("executor-service") if one["kind"] == "ClusterRole"]
    assert bound == [("ClusterRole", name) for name in roles]
    assert pod("executor-service")["serviceAccountName"] == account["name"]


def granted() -> list[tuple[str, str, str]]:
    """What the roles allow, as (API group, resource, verb)."""
    return [
        (group, resource, verb)
        for role in documents("executor-service")
        if role["kind"] == "ClusterRole"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def needed() -> set[tuple[str, str, str]]:
    """What the actions declare that are offered with the settings of the manifest, with looking and guarding."""
    given = frozenset(environment("executor-service"))
    declared = [rule for spec in enabled(Catalogue().specs, given) for rule in needs_of(spec, given)]
    rules = [*LOOKING, *GUARDING, *declared]
    return {(rule.group, rule.resource, verb) for rule in rules for verb in rule.verbs}


def test_the_executor_may_do_what_its_actions_need_and_nothing_else() -> None:
    """Right by right: a new action fails here until its rights are generated; nothing is granted by a wildcard."""
    assert set(granted()) == needed()
    assert not any("*" in right for right in granted())


def test_secrets_and_pods_of_jobs_are_nobodys_by_default() -> None:
    """What would let an executor read secrets or start programs of its own is granted with the setting only."""
    assert not any(resource == "secrets" for _, resource, _ in granted())
    assert ("batch", "jobs", "create") not in granted()


EXAMPLES = ROOT / "deploy" / "examples" / "job-templates"


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_of_a_job_fits_its_schema(path: Path, version: str) -> None:
    """As it is with a name, which the executor gives it; and its program runs with few rights and bounded memory."""
    document = yaml.safe_load(path.read_text("utf-8"))
    kubernetes_validate.validate(document | {"metadata": {"name": "example"}}, version, strict=True)
    spec = document["spec"]["template"]["spec"]
    (program,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert program["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert program["resources"]["limits"].keys() == {"memory"}


def test_every_action_of_a_template_has_an_example() -> None:
    """One file per action that works through JOB_TEMPLATES; the executor can load each (tests/cluster runs them)."""
    wanted = {
        spec.name
        for spec in Catalogue().specs
        if "JOB_TEMPLATES" in {*spec.needs_with, *(item.setting for item in spec.requires)}
    }
    loaded = load_templates(EXAMPLES)
    assert loaded.keys() == wanted
    assert all(isinstance(template, Template) for template in loaded.values()), loaded
