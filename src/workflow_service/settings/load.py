"""Reading the settings: what was given where, what it means, and everything that is wrong with it.

An empty variable counts as unset, as in the specification's `getEnv`. `<NAME>_FILE` names a file that holds a secret.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from workflow_service.domain.errors import WorkflowServiceError
from workflow_service.settings import rules
from workflow_service.settings.declaring import Rule, Show
from workflow_service.settings.identity import Tls
from workflow_service.settings.tree import Origin, Settings

DEFAULT_FILE = Path("config/workflow-service.yaml")
_ROOT = "workflow"
_MASK = "********"
_UNSET = "(unset)"


class SettingsError(WorkflowServiceError):
    """The service must not start; `problems` holds every broken setting, each naming setting, value and rule."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def from_process(config: Path | None = None) -> Settings:
    """`load` with this process's environment."""
    return load(os.environ, config)  # noqa: TID251 - the one place that reads the environment


def load(environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Read all settings; `config` is the YAML file, by default `config/workflow-service.yaml` if there is one.

    Raises SettingsError with every problem found, not only the first.
    """
    problems: list[str] = []
    file = config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    written = _written(file, problems) if file else {}
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for path, rule in _RULES.items():
        origin = _origin(path, rule, environ, written, problems)
        if origin is None:
            continue
        origins[path] = origin
        try:
            values[path] = rule.read(origin.text)
        except ValueError as error:
            problems.append(f"{rule.env} ({origin.source}): {_masked(rule, origin.text)!r} {error}")
    settings: Settings = _built(Settings, "", values, origins=origins)
    problems += _contradictions(settings)
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """All settings as (environment name, value as written, source), secrets and passwords masked."""
    rows = []
    for path, rule in _RULES.items():
        origin = settings.origins.get(path) or Origin(rule.default or _UNSET, "default")
        rows.append((rule.env, _masked(rule, origin.text), origin.source))
    return rows


def rule_of(path: str) -> Rule:
    """How the setting at that path is declared."""
    return _RULES[path]


def _rules(section: type[Any], prefix: str) -> Iterator[tuple[str, Rule]]:
    for item in fields(section):
        if "rule" in item.metadata:
            yield prefix + item.name, item.metadata["rule"]
            continue
        below: Any = item.default_factory
        if isinstance(below, type) and is_dataclass(below):
            yield from _rules(below, f"{prefix}{item.name}.")


_RULES: Mapping[str, Rule] = dict(_rules(Settings, ""))
_SECTIONS = frozenset(path.split(".")[0] for path in _RULES if "." in path)
_PLACES: Mapping[str, str] = {place: path for path, rule in _RULES.items() for place in (path, rule.also) if place}


def _built(section: type[Any], prefix: str, values: Mapping[str, Any], **more: Any) -> Any:
    for item in fields(section):
        path = prefix + item.name
        if path in values:
            more[item.name] = values[path]
        elif path in _SECTIONS:
            below: Any = item.default_factory
            more[item.name] = _built(below, f"{path}.", values)
    return section(**more)


def _origin(
    path: str, rule: Rule, environ: Mapping[str, str], written: Mapping[str, list[Origin]], problems: list[str]
) -> Origin | None:
    given = [Origin(environ[rule.env], "env")] if environ.get(rule.env) else []
    pointer = f"{rule.env}_FILE"
    if rule.show is not Show.WHOLE and environ.get(pointer):
        try:
            file = Path(environ[pointer])
            given.append(Origin(file.read_text("utf-8").strip(), f"env {pointer}", file))
        except (OSError, ValueError) as error:
            problems.append(f"{pointer} (env): {environ[pointer]!r} must be a readable text file ({error})")
    _agree(rule, given, problems)
    _agree(rule, written.get(path, []), problems)
    return next(iter([*given, *written.get(path, [])]), None)


def _agree(rule: Rule, given: list[Origin], problems: list[str]) -> None:
    # The environment may overrule the file, but two words of the same rank must not differ.
    if len({origin.text for origin in given}) > 1:
        shown = " and ".join(f"{_masked(rule, origin.text)!r} ({origin.source})" for origin in given)
        problems.append(f"{rule.env}: {shown} must not differ")


def _masked(rule: Rule, text: str) -> str:
    if text == _UNSET or rule.show is Show.WHOLE:
        return text
    if rule.show is Show.MASK:
        return _MASK
    text = re.sub(r"(//[^:/@\s]*:)\S*@", rf"\1{_MASK}@", text)
    return re.sub(r"(?i)(password=)[^&\s]*", rf"\1{_MASK}", text)


def _contradictions(settings: Settings) -> Iterator[str]:
    if "auth_mode" not in settings.origins and not _loopback(settings.host):
        yield (
            f"HOST: {settings.host!r} listens beyond loopback, where AUTH_MODE must be given: "
            "AUTH_MODE=none lets everybody who reaches the port command this service"
        )
    modes = settings.auth_mode or ()
    needs = {"jwt": ("oidc.issuer", "oidc.audience", "oidc.roles"), "kubernetes": ("kubernetes.roles",)}
    for mode in sorted({*modes} & {*needs}):
        for path in needs[mode]:
            if path not in settings.origins:
                yield f"{_RULES[path].env}: must be given with AUTH_MODE={mode}"
    yield from _unfit_certificate(settings.tls)
    trust = Path(settings.kubernetes.ca_file)
    if "kubernetes" in modes and settings.kubernetes.api_url.startswith("https:") and not _trusted(trust):
        yield f"KUBERNETES_CA_FILE: {str(trust)!r} must be a PEM file with CA certificates with AUTH_MODE=kubernetes"

    yield from _unfit_neighbours(settings)
    cooldown, kept = settings.intake.cooldown, settings.orchestration.state_retention_period
    if cooldown > kept:
        yield (
            f"INTAKE_COOLDOWN: {cooldown:g} s must be at most STATE_RETENTION_PERIOD ({kept:g} s): "
            "a cooled-down alert is answered with the earlier result, which must still be there"
        )


def _unfit_neighbours(settings: Settings) -> Iterator[str]:
    if len({"alarm.url", "alarm.secret"} & {*settings.origins}) == 1:
        yield "ALARM_URL, ALARM_SECRET: must be given together: an alarm that anybody could send is none"
    yield from _unfit_channels(settings)
    named, own = settings.service_coordination, settings.cluster_name
    if own in (named.executors or {}):
        yield f"EXECUTORS: {own!r} must not be CLUSTER_NAME, whose executor is EXECUTOR_SERVICE_URL"
    for cluster in sorted({*(named.executor_token_files or ())} - {*(named.executors or ())}):
        yield f"EXECUTOR_TOKEN_FILES: {cluster!r} must be a cluster of EXECUTORS"


def _unfit_channels(settings: Settings) -> Iterator[str]:
    given = {*settings.origins}
    if len({"notify.webhook_url", "notify.webhook_secret"} & given) == 1:
        yield "NOTIFY_WEBHOOK_URL, NOTIFY_WEBHOOK_SECRET: must be given together"
    if 0 < len({"notify.smtp_url", "notify.email_from", "notify.email_to"} & given) < 3:
        yield "NOTIFY_SMTP_URL, NOTIFY_EMAIL_FROM, NOTIFY_EMAIL_TO: must be given together"
    if "notify.link_identities" in given and not {"notify.link_secret", "notify.public_url"} <= given:
        yield "LINK_IDENTITIES: must be given with LINK_SECRET and PUBLIC_URL, which make the links"


def _unfit_certificate(tls: Tls) -> Iterator[str]:
    if (tls.cert_file is None) != (tls.key_file is None):
        yield "TLS_CERT_FILE, TLS_KEY_FILE: must be given together"
    elif tls.cert_file is not None and not rules.belong_together(tls.cert_file, tls.key_file):
        shown = str(tls.cert_file)
        yield f"TLS_CERT_FILE: {shown!r} must hold a certificate in PEM, and TLS_KEY_FILE its unencrypted key"


def _trusted(file: Path) -> bool:
    try:
        return bool(rules.ca_bundle(str(file)))
    except ValueError:
        return False


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _written(file: Path, problems: list[str]) -> dict[str, list[Origin]]:
    """What the file says, by path. Read as nodes: scalars keep their spelling, and every complaint has a line."""
    try:
        root = yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problems.append(f"{file}:{line}: is no YAML: {error.problem}")
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        problems.append(f"--config: {str(file)!r} must be a readable YAML file ({error})")
        return {}
    found: dict[str, list[Origin]] = {}
    for key, node in _entries(root, str(file), "the file", problems):
        if key != _ROOT:
            problems.append(
                f"{file}:{node.start_mark.line + 1}: {key!r} is no known key; everything is below {_ROOT!r}"
            )
            continue
        for place, origin in _scalars(node, str(file), "", problems):
            found.setdefault(_PLACES[place], []).append(origin)
    return found


def _scalars(node: yaml.Node, file: str, prefix: str, problems: list[str]) -> Iterator[tuple[str, Origin]]:
    for key, value in _entries(node, file, f"{_ROOT}.{prefix}".rstrip("."), problems):
        place, line = prefix + key, f"{file}:{value.start_mark.line + 1}"
        if place in _SECTIONS:
            yield from _scalars(value, file, f"{place}.", problems)
        elif place not in _PLACES:
            near = difflib.get_close_matches(place, [*_PLACES, *_SECTIONS], n=1)
            hint = f"; did you mean {_ROOT}.{near[0]}?" if near else ""
            problems.append(f"{line}: {_ROOT}.{place} is no setting{hint}")
        elif not isinstance(value, yaml.ScalarNode):
            problems.append(f"{line}: {_ROOT}.{place} must be a single value")
        elif value.tag != "tag:yaml.org,2002:null" and value.value:
            yield place, Origin(value.value, line)


def _entries(node: yaml.Node | None, file: str, name: str, problems: list[str]) -> Iterator[tuple[str, yaml.Node]]:
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(node, yaml.MappingNode):
        problems.append(f"{file}:{node.start_mark.line + 1}: {name} must be a mapping")
        return
    seen: set[str] = set()
    for key, value in node.value:
        if str(key.value) in seen:
            problems.append(f"{file}:{key.start_mark.line + 1}: {key.value!r} must not be given twice in {name}")
        seen.add(str(key.value))
        yield str(key.value), value
