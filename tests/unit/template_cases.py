"""What tests of templates share: one template with everything in it, and how its files are read."""

from workflow_service.domain.template import Reference
from workflow_service.planning.library import known_actions
from workflow_service.planning.template_file import InvalidTemplate, LocatedFlaw, source, template
from workflow_service.planning.templates import Template

KNOWN = known_actions()
WHOLE = """\
apiVersion: workflow.kubernaut.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: crashloop-rollback, version: 1.2.0}
spec:
  description:
    what: rolls a Deployment back
    whenToUse: its pods crash right after a rollout
    whenNotToUse: the node is under pressure
  match:
    alertname: [KubePodCrash*]
    severity: [critical, high]
    environment: [production]
    namespace: [prod*]
    owners: [Deployment]
    observed: [replicas]
    when: "'deployment' in alert.labels && params.min_restarts < 10"
  parameters:
    type: object
    additionalProperties: false
    required: [namespace, deployment]
    properties:
      namespace: {type: string, maxLength: 63}
      deployment: {type: string, maxLength: 253}
      min_restarts: {type: integer, minimum: 1, maximum: 100, default: 5}
      share: {type: number, default: 0.5}
  derive:
    namespace: alert.namespace
    deployment: ["alert.labels['deployment']", owner.name]
  target: {kind: Deployment, namespace: params.namespace, name: params.deployment}
  timeout: 15m
  onResolved: stop
  steps:
  - id: diagnose
    action: collect_diagnostics
    with: {namespace: "${{ params.namespace }}", resource_name: "${{ params.deployment }}"}
    critical: false
    timeout: 60s
  - id: back
    action: rollback_deployment
    on: owner
    when: steps.diagnose.status != 'succeeded' || params.min_restarts > 3
    preconditions: [{expression: "!(params.namespace in ['kube-system'])", message: protected}]
    approval: {when: "alert.severity == 'critical'", timeout: 15m}
    with: {namespace: "${{ params.namespace }}", resource_name: "${{ params.deployment }}"}
    retry: {maxAttempts: 3, backoff: exponential, delay: 2s}
    rollback:
      action: rollback_deployment
      with: {namespace: prod, resource_name: "${{ params.deployment }}", revision: "${{ result.from }}"}
    postconditions:
    - {expression: observed.ready_replicas >= observed.replicas, message: not ready, within: 3m, poll: 10s}
    alternative: restart
  - id: restart
    action: restart_pod
    on: owner
    with: {namespace: "${{ params.namespace }}", resource_name: "${{ params.deployment }}", resource_type: deployment}
  - {id: page, action: notify_oncall, critical: false, with: {message: "{alert}: rolled back ${{ params.deployment }}"}}
  - {id: note, action: log_incident, needs: [], with: {message: "{alert}"}}
  verify:
  - {id: calm, kind: check, on: owner, timeout: 2m, postconditions: [{expression: observed.crash_looping == 0}]}
  finally:
  - {id: close, action: log_incident, with: {message: "{alert}: over"}}
"""


def read(text: str, *others: str) -> Template:
    """The template of a text; `others` are known beside it."""
    known = {one.reference: one.document for one in (source(f"other-{n}.yaml", body) for n, body in enumerate(others))}
    return template(source("template.yaml", text), known.get, KNOWN)


def flaws_of(text: str, *others: str) -> tuple[LocatedFlaw, ...]:
    """What is wrong with it."""
    try:
        read(text, *others)
    except InvalidTemplate as invalid:
        return invalid.flaws
    return ()


def small(name: str = "small", version: str = "1.0.0", *, spec: str = "", steps: str = "") -> str:
    """A template that only tells somebody, with more in its spec, or other steps."""
    told = '\n  - {id: tell, action: notify_team, with: {message: "{alert}"}}'
    return f"""\
apiVersion: workflow.kubernaut.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: {name}, version: {version}}}
spec:
  description: {{what: tells the team, whenToUse: always}}{spec}
  steps:{steps or told}
"""


def ref(name: str = "small", version: str = "1.0.0") -> Reference:
    """What a version is called."""
    return Reference(name, version)
