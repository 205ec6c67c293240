"""`komeet model`: the embedded model's weights."""

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from komeet.cli.options import ConfigFile, DataDir
from komeet.cli.output import console, escape, fail
from komeet.cli.setup import read
from komeet.local.pull import PullError
from komeet.local.pull import pull as fetch
from komeet.local.weights import engine_installed

program = typer.Typer(help="The embedded model.", no_args_is_help=True)


@program.callback()
def common() -> None:
    """Keep `pull` a command of its own: others will follow."""


@program.command()
def pull(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Fetch the embedded model's weights, where the installation did not bring them."""
    setup = read(config, data_dir)
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        try:
            path = fetch(setup.data_dir, progress)
        except PullError as error:
            fail(str(error))
    console().print(f"The weights are in {escape(str(path))}.")
    if not engine_installed():
        console().print(r"Their engine is missing: pip install 'komeet\[local]'")
