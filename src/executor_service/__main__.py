"""The command line. Imports are inside the functions, so that --help stays instant."""

import sys
from pathlib import Path

import click


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-health-check", "--health-check", "health_check", is_flag=True, help="Ask the running service and exit 0 or 1."
)
@click.version_option(package_name="workflow-service")
@click.pass_context
def main(context: click.Context, *, health_check: bool) -> None:
    """Serve the executor on EXECUTOR_SERVICE_PORT (8084); settings come from the environment."""
    if health_check:
        sys.exit(_health_check())
    if context.invoked_subcommand is None:
        sys.exit(_serve())


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port on 127.0.0.1; 0: any.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="File to write once it listens.")
@click.option("--audit-file", type=click.Path(path_type=Path), help="File that gets one JSON line per write.")
def sandbox(port: int, kubeconfig: Path | None, audit_file: Path | None) -> None:
    """Run an in-memory Kubernetes API for trying things out."""
    from executor_service.sandbox import server

    try:
        server.run(port, kubeconfig, audit_file)
    except OSError as error:
        print(f"cannot start the sandbox: {error}", file=sys.stderr)
        sys.exit(1)


@main.command()
@click.option("--family", "families", multiple=True, help="Only this family of actions (may be repeated).")
@click.option("--setting", "settings", multiple=True, help="A setting that will be set, such as JOB_TEMPLATES.")
@click.option("--namespace", default="kubernaut", show_default=True, help="Where the service account is.")
@click.option("--account", default="executor-service", show_default=True, help="Its name.")
def rbac(families: tuple[str, ...], settings: tuple[str, ...], namespace: str, account: str) -> None:
    """Print the ClusterRoles and bindings that the enabled actions need, and nothing else."""
    from executor_service import __version__
    from executor_service.actions.catalogue import Catalogue
    from executor_service.actions.roles import UnknownRoleError, chosen_roles, manifests

    try:
        roles = chosen_roles(Catalogue().specs, families=families, settings=frozenset(settings))
    except UnknownRoleError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    click.echo(manifests(roles, namespace=namespace, account=account, version=__version__), nl=False)


def _serve() -> int:
    import uvloop

    from executor_service.app import listen, serve
    from executor_service.ledger.database import LedgerError
    from executor_service.settings import SettingsError, load
    from executor_service.telemetry.logs import configure

    try:
        settings = load()
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    configure(settings.log_level)
    try:
        return 0 if uvloop.run(serve(settings, listen(settings))) else 1
    except LedgerError as error:
        print(f"refusing to start: {error}", file=sys.stderr)
    except OSError as error:
        print(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}", file=sys.stderr)
    return 1


def _health_check() -> int:
    import http.client

    from executor_service.settings import SettingsError, listening_host, listening_port

    try:
        connection = http.client.HTTPConnection(listening_host(), listening_port(), timeout=5)
        connection.request("GET", "/health")
        code = connection.getresponse().status
        connection.close()
    except (OSError, http.client.HTTPException, SettingsError) as error:
        print(f"Health check failed: {error}")
        return 1
    if code != 200:
        print(f"Health check failed: status {code}")
        return 1
    print("Health check passed")
    return 0


if __name__ == "__main__":
    main(prog_name="executor-service")
