"""`komeet doctor`."""

import platform
from collections.abc import Sequence

import typer
from msgspec import Struct

from komeet import __version__
from komeet.catalog.book import book_version
from komeet.cli.client import is_up
from komeet.cli.options import AsJson, ConfigFile, DataDir, Port
from komeet.cli.output import console, escape, print_json
from komeet.cli.setup import Setup, data_files, read
from komeet.core.clock import SystemClock
from komeet.core.errors import ModelNotFound
from komeet.local.weights import missing as missing_model
from komeet.store.errors import StoreError
from komeet.store.keys import list_keys

_EXAMPLES = ("gpt-5.2", "gpt-5.2-pro", "claude-opus-4-5", "gemini-3-pro-preview", "smollm2-135m")


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    topic: str
    state: str
    """`ok`, `note` or `problem`."""
    text: str


program = typer.Typer(add_completion=False)


@program.command()
def doctor(config: ConfigFile = None, port: Port = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what is configured, what is missing, and what would answer."""
    setup = read(config, data_dir)
    findings = [*_general(setup, port), *_keys(setup), *_providers(setup), *_embedded(setup), *_models(setup)]
    if as_json:
        print_json(findings)
    else:
        signs = {"ok": "[green]✓[/green]", "note": "[dim]·[/dim]", "problem": "[red]✗[/red]"}
        terminal = console()
        last = ""
        for finding in findings:
            topic = "" if finding.topic == last else finding.topic
            last = finding.topic
            terminal.print(f"{signs[finding.state]} [bold]{topic:10}[/bold] {escape(finding.text)}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _general(setup: Setup, port: int | None) -> Sequence[Finding]:
    at = setup.config.server.port if port is None else port
    file = "none: providers come from the environment" if setup.config_file is None else str(setup.config_file)
    up = is_up(f"http://127.0.0.1:{at}")
    running = f"answers on http://127.0.0.1:{at}/v1" if up else f"not running on port {at}: `komeet serve` starts it"
    return (
        Finding("komeet", "ok", f"{__version__}, Python {platform.python_version()}, prices of {book_version()}"),
        Finding("config", "ok", file),
        Finding("data", "ok", str(setup.data_dir)),
        Finding("server", "ok" if up else "note", running),
    )


def _keys(setup: Setup) -> Sequence[Finding]:
    now = SystemClock().unix_ms()
    try:
        with data_files(setup.config_file, setup.data_dir) as files:
            known = list_keys(files.ledger)
    except StoreError as error:
        return (Finding("keys", "problem", str(error)),)
    live = [key for key in known if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)]
    if not live:
        return (Finding("keys", "note", "none: `komeet key create --name NAME` makes one"),)
    return (Finding("keys", "ok", f"{len(live)} active"),)


def _providers(setup: Setup) -> Sequence[Finding]:
    found = [
        Finding(
            "providers", "ok", f"{provider.name}: {provider.origin.scheme}://{provider.origin.host}{provider.prefix}"
        )
        for provider in setup.found.providers
        if not provider.embedded
    ]
    lacking = [Finding("missing", "note", f"{name}: {reason}") for name, reason in sorted(setup.found.missing.items())]
    return [*found, *lacking]


def _embedded(setup: Setup) -> Sequence[Finding]:
    if not setup.config.embedded.enabled:
        return (Finding("embedded", "note", "switched off by the configuration"),)
    lacking = missing_model(setup.data_dir)
    if lacking is not None:
        return (Finding("embedded", "problem", lacking),)
    return (Finding("embedded", "ok", "smollm2-135m is installed"),)


def _models(setup: Setup) -> Sequence[Finding]:
    from komeet.app import directory  # noqa: PLC0415 - most commands need none of it

    known = directory(setup.data_dir, setup.found.providers)
    findings = [Finding("models", "ok", f"{len(known.listing())} known; `komeet models` lists them")]
    for name in _EXAMPLES:
        try:
            candidate = known.resolve(name)
        except ModelNotFound:
            findings.append(Finding("answers", "note", f"{name}: nobody"))
        else:
            priced = "" if candidate.price is not None else " (price not known)"
            findings.append(Finding("answers", "ok", f"{name}: {candidate.provider.name}{priced}"))
    return findings
