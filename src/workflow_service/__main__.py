"""The command line. Everything heavy is imported inside the commands, so that --help answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from workflow_service.cli.alerts import alerts
from workflow_service.cli.audit import audit
from workflow_service.cli.backtest import backtest
from workflow_service.cli.halt import halt, unhalt
from workflow_service.cli.keys import keys
from workflow_service.cli.policy import policy
from workflow_service.cli.simulate import simulate
from workflow_service.cli.templates import template
from workflow_service.cli.workflows import workflows

if TYPE_CHECKING:
    from workflow_service.settings import Settings
    from workflow_service.store.backup import Source


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-health-check", "--health-check", "health_check", is_flag=True, help="Ask the running service: exit 0 or 1."
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="YAML file with settings.")
@click.version_option(package_name="workflow-service")
@click.pass_context
def main(context: click.Context, *, health_check: bool, config: Path | None) -> None:
    """Serve the workflow orchestrator on WORKFLOW_SERVICE_PORT (8083). Settings: environment, then YAML."""
    context.obj = config
    if health_check:
        sys.exit(_health_check(config))
    if context.invoked_subcommand is None:
        sys.exit(_serve(config))


main.add_command(audit)
main.add_command(keys)
main.add_command(halt)
main.add_command(unhalt)
main.add_command(policy)
main.add_command(alerts)
main.add_command(simulate)
main.add_command(backtest)
main.add_command(workflows)
main.add_command(template)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes the commands in SHELL: `eval "$(workflow-service completion bash)"`."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(main, {}, "workflow-service", "_WORKFLOW_SERVICE_COMPLETE").source())


@main.group("config")
def config_group() -> None:
    """Look at the settings."""


@config_group.command("print")
@click.pass_obj
def config_print(config: Path | None) -> None:
    """Show every effective setting and where it comes from; secrets are masked."""
    from workflow_service.settings import describe

    rows = describe(_settings(config))
    width, shown = max(len(name) for name, _, _ in rows), max(len(value) for _, value, _ in rows)
    for name, value, source in rows:
        print(f"{name:<{width}}  {value:<{shown}}  {source}")


@main.command()
def demo() -> None:
    """Three alerts become remediations on an in-memory cluster, before your eyes."""
    from workflow_service.demo.story import tell

    sys.exit(tell())


@main.command()
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep state there; default: a temporary one."
)
def embedded(data_dir: Path | None) -> None:
    """Serve on 8083 with an executor on 8084 and an in-memory cluster beside it, until Ctrl-C."""
    from workflow_service.demo.embedded import serve

    sys.exit(serve(data_dir))


@main.command()
@click.option("--to", required=True, type=click.Path(path_type=Path), help="The file to write; it must not exist.")
@click.pass_obj
def backup(config: Path | None, to: Path) -> None:
    """Copy the database as of one moment into a file, beside a running service."""
    from workflow_service.domain.errors import WorkflowServiceError
    from workflow_service.store.backup import back_up

    source = _source(config)
    try:
        size = back_up(source, to=to)
    except WorkflowServiceError as error:
        sys.exit(f"cannot back up: {error}")
    print(f"{source.kind} backed up to {to}, {size} bytes")


@main.command()
@click.option("--from", "copy", required=True, type=click.Path(path_type=Path), help="A file that `backup` wrote.")
@click.option("--force", is_flag=True, help="Replace what is in the database.")
@click.pass_obj
def restore(config: Path | None, copy: Path, *, force: bool) -> None:
    """Make the database what it was when the file was written. Nothing may be serving from it."""
    from workflow_service.domain.errors import WorkflowServiceError
    from workflow_service.store import backup

    source = _source(config)
    try:
        active = backup.restore(source, copy=copy, force=force)
    except WorkflowServiceError as error:
        sys.exit(f"cannot restore: {error}")
    print(f"{source.kind} restored from {copy}; {active} executions go on at the next start")


@main.command()
@click.option("--workflows", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Alerts to send.")
@click.option("--seed", type=int, help="Repeats the alerts, the schedule and the mishaps of an earlier run.")
@click.option("--replicas", type=click.IntRange(1, 10), help="Of workflow-service; default: 2, on sqlite 1.")
@click.option("--concurrency", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Open workflows.")
@click.option("--database-url", help="An empty PostgreSQL, or `sqlite`; default: one from a wheel, restarted too.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def faultkit(**given: Any) -> None:
    """Break everything on purpose, then prove from outside that nothing was lost, stuck or done twice."""
    from workflow_service.faultkit.orders import WrongOrder, read_order

    try:
        order = read_order(**given)
    except WrongOrder as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    from workflow_service.faultkit.campaign import run

    sys.exit(run(order))


@main.group("plan")
def plan_group() -> None:
    """Look at plans before anybody runs them."""


@plan_group.command("convert")
@click.argument("answer", type=click.File(encoding="utf-8"))
@click.option(
    "--catalogue",
    type=click.File(encoding="utf-8"),
    help="What the executor offers, as `GET /api/v1/actions` answers; default: ask the one at EXECUTOR_SERVICE_URL.",
)
@click.pass_obj
def plan_convert(config: Path | None, answer: TextIO, catalogue: TextIO | None) -> None:
    """Show the plan that a multi-stage answer (a JSON file, or - for stdin) describes; nothing is run."""
    from workflow_service.domain.errors import Rejected, WorkflowServiceError
    from workflow_service.meaning import limits_of
    from workflow_service.planning.show import shown

    settings = _settings(config)
    try:
        offered = catalogue.read() if catalogue else _offered(settings)
        print(shown(answer.read(), offered=offered, limits=limits_of(settings), cluster=settings.cluster_name))
    except Rejected as error:
        for violation in error.violations:
            print(violation, file=sys.stderr)
        sys.exit(1)
    except (WorkflowServiceError, UnicodeDecodeError) as error:
        sys.exit(f"cannot convert: {error}")


def _offered(settings: Settings) -> str:
    """The executor's catalogue as it answers it."""
    import asyncio
    import json

    from workflow_service.clients.executor import HttpExecutor
    from workflow_service.clients.session import SharedSession

    async def ask() -> str:
        session, given = SharedSession(ca_bundle=settings.ca_bundle), settings.service_coordination
        executor = HttpExecutor(given.executor_service_url, session, token=lambda: given.executor_token)
        try:
            _, document = await executor.catalogue()
            return json.dumps(document)
        finally:
            await session.close()

    return asyncio.run(ask())


def _source(config: Path | None) -> Source:
    import sqlalchemy as sa

    from workflow_service.store.backup import Source

    storage = _settings(config).storage
    return Source(sa.make_url(storage.url), storage.data_dir)


def _settings(config: Path | None) -> Settings:
    from workflow_service.cli.session import settings_of

    return settings_of(config)


def _serve(config: Path | None) -> int:
    settings = _settings(config)
    from workflow_service import app
    from workflow_service.domain.errors import WorkflowServiceError

    try:
        return app.serve(settings)
    except WorkflowServiceError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1


def _health_check(config: Path | None) -> int:
    """The specification's container health check, its lines and exit codes."""
    import http.client
    import ssl

    settings = _settings(config)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(host, settings.service_port, timeout=5)
    if settings.tls.cert_file is not None:  # ourselves, by an address that no certificate names: no secret is sent
        unchecked = ssl._create_unverified_context()  # noqa: S323, SLF001 - see above
        connection = http.client.HTTPSConnection(host, settings.service_port, timeout=5, context=unchecked)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except OSError as error:
        print(f"Health check failed: {error}")
        return 1
    finally:
        connection.close()
    if status != 200:
        print(f"Health check failed: /health answered {status}")
        return 1
    print("Health check passed")
    return 0


if __name__ == "__main__":
    main()
