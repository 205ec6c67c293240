"""`komeet model`: the embedded model's weights."""

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from komeet.cli.options import ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail
from komeet.cli.setup import where
from komeet.local.pull import PullError
from komeet.local.pull import pull as fetch
from komeet.local.weights import INSTALL_ENGINE, engine_installed, find

program = new_program("Fetch the embedded model's weights.")


@program.callback()
def common() -> None:
    """Keep `pull` a command of its own: others will follow."""


@program.command()
def pull(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Fetch the weights, where the installation did not bring them."""
    place = where(config, data_dir)
    there = find(place)
    try:
        path = _fetch_with_progress(place)
    except PullError as error:
        fail(str(error))
    done = "The weights are there already" if path == there else "The weights have been fetched"
    console().print(escape(f"{done}: {path}"))
    if not engine_installed():
        console().print(escape(f"Their engine is missing: {INSTALL_ENGINE}"))


def _fetch_with_progress(place: Path) -> Path:
    terminal = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, transient=True, console=terminal, disable=not terminal.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        return fetch(place, progress)
