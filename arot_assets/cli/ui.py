"""`arot ui`: Dagster's web UI and daemon, on the same instance in which `arot run` records its work."""

import os
import shutil
import socket
import sys

import click


@click.command(name="ui", short_help="open Dagster on the results")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="0.0.0.0 allows access from other machines; there is no password",
)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="of the UI")
@click.option(
    "--look-every",
    type=click.IntRange(min=5),
    envvar="AROT_SENSOR_SECONDS",
    show_envvar=True,
    metavar="SECONDS",
    help="how often sensors check, at least 5; default: sources every 30, automation every 15",
)
def command(host: str, port: int, look_every: int | None) -> None:
    """Start Dagster's UI with its daemon (sensors, automation, run queue). Stop it with Ctrl-C.

    It ends together with the shell or script that started it; `nohup arot ui &` keeps it running.
    """
    from arot_assets.cli.home import prepare_home
    from arot_assets.cli.launch import close_killed_runs, open_instance
    from arot_assets.cli.supervise import supervise

    home = prepare_home()
    with socket.socket() as probe:
        try:
            in_use = probe.connect_ex((host if host != "0.0.0.0" else "127.0.0.1", port)) == 0
        except OSError as error:
            raise click.ClickException(
                f"host '{host}': {error.strerror or error}; give an address of this machine with --host"
            ) from error
        if in_use:
            raise click.ClickException(f"port {port} is in use; choose another with --port")
    with open_instance() as instance:
        for run_id in close_killed_runs(instance):
            click.echo(f"run {run_id} was killed before it ended and now counts as failed; `arot run` resumes its work")
    if look_every is not None:
        os.environ["AROT_SENSOR_SECONDS"] = str(look_every)
    program = shutil.which("dagster", path=os.path.dirname(sys.executable)) or "dagster"
    click.echo(f"Dagster at http://{host}:{port}, with the results in {home}")
    sys.stdout.flush()
    arguments = ["dev", "-m", "arot_assets.definitions", "--host", host, "--port", str(port)]
    sys.exit(supervise([program, *arguments], lambda line: click.echo(line, err=True)))
