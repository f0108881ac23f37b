"""Writes docs/settings.md, the page about every setting, from the settings' own tables.

Run it after changing a setting: `python docs/generate_settings.py`. A test fails while the page is stale.
What a setting of workflow-service means is told once, by its comment in config/workflow-service.yaml.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from executor_service import settings as executor
from workflow_service.settings.declaring import Rule, Show
from workflow_service.settings.tree import Settings

PAGE = Path(__file__).with_name("settings.md")
EXAMPLE = Path(__file__).parent.parent / "config" / "workflow-service.yaml"
_LINE = re.compile(r"(?P<indent> *)(?P<off># )?(?P<key>[a-z_]+):(?P<value>[^#]*)(?P<comment>#.*)?")
_PROBES = (__file__, "? no such thing #")  # texts that a rule refuses, so that it tells what it wants

# what the example file leaves to its name alone
_MORE: Mapping[str, str] = {
    "service_coordination.executor_service_url": "where the executor answers",
    "service_coordination.executor_token": "bearer token for the executor",
    "execution.rollback_enabled": "false: a critical failure stops and leaves what was done",
}

# environment name: (attribute of executor_service.settings.Settings, meaning)
_EXECUTOR: Mapping[str, tuple[str, str]] = {
    "HOST": ("host", "address to listen on; beyond loopback callers must be authenticated, or `EXECUTOR_AUTH` be none"),
    "EXECUTOR_SERVICE_PORT": ("port", "0 takes any free port"),
    "EXECUTOR_TOKEN": ("token", "bearer token that every order must carry; its file is read again when it changes"),
    "EXECUTOR_AUTH": ("callers.auth", "token; tokenreview: Kubernetes says whose token it is; none: anybody"),
    "EXECUTOR_AUDIENCES": ("callers.audiences", "tokenreview: the token must be meant for one of these"),
    "EXECUTOR_CALLERS": ("callers.callers", "tokenreview: user names that may call, with * and ?; required there"),
    "TOKENREVIEW_CACHE": ("callers.review_cache", "how long an answer of TokenReview is believed"),
    "DATABASE_URL": ("database_url", "the ledger: SQLite or PostgreSQL; unset: a SQLite file in `DATA_DIR`"),
    "DATA_DIR": ("data_dir", "home of the embedded ledger"),
    "CLUSTER_NAME": ("cluster_name", "the one cluster it acts on; orders for another are refused"),
    "KUBECONFIG": ("kubeconfig", "unset: the pod's service account, outside a pod `~/.kube/config`"),
    "LOG_LEVEL": ("log_level", "trace, debug, info, warning, error, fatal, panic, critical"),
    "PROTECTED_NAMESPACES": ("protected_namespaces", "never changed by any action; comma-separated"),
    "PROTECT_OWN_NAMESPACE": ("policy.protect_own", "whether the namespace that it runs in is protected too"),
    "POD_NAMESPACE": ("policy.own_namespace", "where it runs; unset: what the pod's service account says"),
    "REQUIRE_OPT_IN": ("policy.require_opt_in", "change only what is annotated `kubernaut.io/remediation: allowed`"),
    "ALLOWED_ACTIONS": ("policy.allowed_actions", "action types that may be ordered, with * and ?"),
    "ALLOWED_NAMESPACES": ("policy.allowed_namespaces", "namespaces that may be changed, with * and ?"),
    "MAX_CONCURRENT_PER_NAMESPACE": ("policy.namespace_limit", "actions that change a namespace at once; 0: no limit"),
    "MAX_CONCURRENT_PER_NODE_POOL": ("policy.pool_limit", "actions that change nodes of a pool at once; 0: no limit"),
    "NODE_POOL_LABELS": ("policy.pool_labels", "the first of these labels that a node has names its pool"),
    "CONCURRENCY_WAIT": ("policy.limit_wait", "how long an action waits for its place before it is refused"),
    "ACTION_COOLDOWN": ("policy.cooldown", "how long a target rests from one action type; 0s: not at all"),
    "MAX_CORDONED_NODES": ("policy.cordoned_share", "share of nodes that may be cordoned or not Ready"),
    "MAX_UNAVAILABLE_REPLICAS": ("policy.unavailable_share", "share of a workload's pods that may be unavailable"),
    "DRY_RUN_FIRST": ("policy.rehearse", "whether each write is tried as a server-side dry run first"),
    "NOTIFY_WEBHOOK_URL": ("notify_webhook_url", "notifications go there as JSON; unset: to the log only"),
    "SLACK_WEBHOOK_URL": ("slack_webhook_url", "notifications go there in Slack's form"),
    "PROMETHEUS_URL": ("prometheus_url", "evidence by PromQL is asked for there; unset: such conditions do not hold"),
    "ALERTMANAGER_URL": ("alertmanager_url", "silences are made there; unset: create_silence is not offered"),
    "WEBHOOK_ALLOWED_HOSTS": (
        "webhook_allowed_hosts",
        "where call_webhook may go: `host` (https), `http://host:8080` (http too), `!host` (loopback, link-local too)",
    ),
    "JOB_TEMPLATES": ("job_templates", "directory of `<action>.yaml`, each a Job for work inside the cluster"),
    "READABLE_SECRETS": (
        "readable_secrets",
        "`namespace/name` patterns of secrets whose values call_webhook and Jobs may use (`{secretRef: {name, key}}`)",
    ),
    "ROTATABLE_SECRETS": ("rotatable_secrets", "`namespace/name` patterns of secrets that rotate_secrets may change"),
    "NETWORK_COMPONENTS": (
        "network_components",
        "what restart_network may restart, protected or not: `dns=Deployment/kube-system/coredns`; comma-separated",
    ),
    "SYNC_WAIT": ("sync_wait", "how long a call waits for its action before it answers 202"),
    "KUBERNETES_TIMEOUT": ("kubernetes_timeout", "of one call to the API server"),
    "LEDGER_RETENTION": ("ledger_retention", "how long a key is remembered"),
    "AUDIT_RETENTION": ("audit_retention", "how long the audit of writes is kept"),
    "SNAPSHOT_RETENTION": ("snapshot_retention", "until when an undo is offered; not longer than `LEDGER_RETENTION`"),
}


_SHARES = ("MAX_CORDONED_NODES", "MAX_UNAVAILABLE_REPLICAS")


def render() -> str:
    """The whole page."""
    return "\n".join([*_HEAD, *_workflow(), *_BETWEEN, *_executor(), ""])


def executor_names() -> list[str]:
    """The variables that executor-service asks its environment for, `_FILE` twins and Kubernetes' own left out."""
    asked: list[str] = []

    class Recording(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return default

    executor.load(Recording())
    return [name for name in asked if not name.endswith("_FILE") and name != "KUBERNETES_SERVICE_HOST"]


def meanings() -> dict[str, str]:
    """What the example file says about each place, by path below `workflow`."""
    found: dict[str, str] = {}
    section = ""
    for line in EXAMPLE.read_text("utf-8").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or not match["indent"]:
            continue
        if len(match["indent"]) == 2 and not match["value"].strip() and not match["off"]:
            section = match["key"]
            continue
        place = match["key"] if len(match["indent"]) == 2 else f"{section}.{match['key']}"
        found[place] = _without_names((match["comment"] or "#")[1:].strip())
    return found


def _without_names(comment: str) -> str:
    """The comment without the environment names that it begins with; the table has a column for them."""
    return re.sub(r"^[A-Z_]+( or [A-Z_]+)?[:;,]? ?", "", comment)


def _workflow() -> Iterator[str]:
    yield "| environment | YAML, below `workflow:` | default | must be | meaning |"
    yield "|---|---|---|---|---|"
    told = meanings()
    for path, rule in _rules(Settings, ""):
        places = f"`{path}`" + (f", `{rule.also}`" if rule.also else "")
        default = "unset" if rule.default is None else f"`{rule.default}`"
        name = _name(rule.env, secret=rule.show is not Show.WHOLE)
        meaning = told[path] or _MORE[path]
        yield f"| {name} | {places} | {default} | {_wants(rule)} | {meaning} |"


def _rules(section: type[Any], prefix: str) -> Iterator[tuple[str, Rule]]:
    for item in fields(section):
        below: Any = item.default_factory
        if "rule" in item.metadata:
            yield prefix + item.name, item.metadata["rule"]
        elif is_dataclass(below):
            yield from _rules(below, f"{prefix}{item.name}.")  # type: ignore[arg-type]


def _wants(rule: Rule) -> str:
    for probe in _PROBES:
        try:
            rule.read(probe)
        except ValueError as error:
            return re.sub(r" \([^)]*\)$", "", str(error)).removeprefix("must be ").removeprefix("must ")
    raise AssertionError(f"{rule.env} takes anything: its rule cannot be told")


def _executor() -> Iterator[str]:
    yield "| environment | default | meaning |"
    yield "|---|---|---|"
    defaults = executor.load({})
    secrets = ("EXECUTOR_TOKEN",)
    for name, (attribute, meaning) in _EXECUTOR.items():
        shown = (
            "unset"
            if name in {"DATABASE_URL", "KUBECONFIG", "POD_NAMESPACE"}
            else _shown(attrgetter(attribute)(defaults), name)
        )
        yield f"| {_name(name, secret=name in secrets)} | {shown} | {meaning} |"
    if missing := set(executor_names()) ^ set(_EXECUTOR):
        raise AssertionError(f"executor_service.settings and this page disagree about {sorted(missing)}")


def _name(name: str, *, secret: bool) -> str:
    return f"`{name}`, `{name}_FILE`" if secret else f"`{name}`"


def _shown(value: object, name: str) -> str:
    if value in (None, (), {}):
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if name in _SHARES and isinstance(value, float):
        return f"`{value:.0%}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, float):
        return f"`{_duration(value)}`"
    return f"`{','.join(sorted(value)) if isinstance(value, frozenset) else value}`"


def _duration(seconds: float) -> str:
    units = (("d", 86400), ("h", 3600), ("m", 60))
    return next(
        (f"{seconds // size:.0f}{unit}" for unit, size in units if seconds and seconds % size == 0), f"{seconds:g}s"
    )


_HEAD = [
    "# Settings",
    "",
    "Generated by `docs/generate_settings.py`; do not edit. The environment wins over the YAML file, the file over the",
    "defaults. A bad setting refuses the start; all problems are told at once, each with setting, value and rule.",
    "`<NAME>_FILE` names a file that holds the value. An empty variable counts as unset.",
    "",
    "## workflow-service",
    "",
    "The file is `config/workflow-service.yaml` or what `--config` names. `workflow-service config print` shows what",
    "is in effect and where it came from, secrets masked. About advisors: [advisors.md](advisors.md).",
    "",
]
_BETWEEN = [
    "",
    "A Kubernetes Service called `workflow-service` makes it set `WORKFLOW_SERVICE_PORT=tcp://...` in the pods",
    "of its namespace, and `EXECUTOR_SERVICE_PORT` likewise: the deployment files say `enableServiceLinks: false`.",
    "",
    "## executor-service",
    "",
    "Environment only.",
    "",
]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
