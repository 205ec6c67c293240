"""`komeet doctor`."""

import platform
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import typer
from msgspec import Struct

from komeet import __version__
from komeet.catalog import profiles
from komeet.catalog.book import book_version
from komeet.cli.client import Seen, look
from komeet.cli.known import count
from komeet.cli.options import AsJson, ConfigFile, DataDir, Port, new_program
from komeet.cli.output import console, escape, print_json, wrap
from komeet.cli.place import place_of
from komeet.cli.setup import Setup, existing_files, models_of, read
from komeet.config.load import ConfigError
from komeet.config.prices import load_book
from komeet.core.clock import SystemClock
from komeet.core.errors import ModelNotFound, ModelRetired
from komeet.core.hosts import is_this_machine
from komeet.core.http import Origin
from komeet.local.weights import missing as missing_model
from komeet.providers import registry
from komeet.providers.provider import Provider
from komeet.providers.registry import Row
from komeet.routing.directory import Directory, Listed
from komeet.store.errors import StoreError
from komeet.store.keys import list_keys
from komeet.telemetry.logs import configure

_EXAMPLES = ("gpt-5.2", "gpt-5.2-pro", "claude-opus-4-5", "gemini-3-pro-preview", "smollm2-135m")
_SIGNS = {"ok": "[green]✓[/green]", "note": "[dim]·[/dim]", "problem": "[red]✗[/red]"}
_TOPIC = 10


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    topic: str
    state: Literal["ok", "note", "problem"]
    text: str


class Missing(Struct, frozen=True):
    """A provider that is not configured, and the environment variables of which one would configure it."""

    provider: str
    variables: tuple[str, ...]


program = new_program()


@program.command()
def doctor(
    config: ConfigFile = None,
    port: Port = None,
    data_dir: DataDir = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also connect to each provider, as the server would; nothing is sent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is configured, what is missing, and what would answer.

    Asks no provider, so it costs nothing. Ends with status 1 where something has to be put right.
    """
    configure("error", "text")
    setup = read(config, data_dir)
    known = models_of(setup)
    missing = _missing(setup)
    findings = [
        *_general(setup, port),
        *_keys(setup),
        *_embedded(setup),
        *_providers(setup, known.listing()),
        *_known(setup),
        *_ways(setup, connect=connect),
        *_answers(known),
        *_ends(setup, known),
    ]
    if as_json:
        print_json({"findings": findings, "missing": missing})
    else:
        _print(findings, missing)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _print(findings: Sequence[Finding], missing: Sequence[Missing]) -> None:
    last = ""
    for finding in findings:
        _print_one(_SIGNS[finding.state], "" if finding.topic == last else finding.topic, finding.text)
        last = finding.topic
    if missing:
        variables = ", ".join(one.variables[0] for one in missing)
        more = f"{len(missing)} more providers: set one of these for `komeet serve`, or write a configuration file: "
        _print_one(_SIGNS["note"], "missing", more + variables)


def _print_one(sign: str, topic: str, text: str) -> None:
    terminal = console()
    indent = " " * (_TOPIC + 3)
    lines = wrap(text, terminal, len(indent))
    terminal.print(f"{sign} [bold]{topic:{_TOPIC}}[/bold] {escape(lines[0])}")
    for line in lines[1:]:
        terminal.print(indent + escape(line))


def _general(setup: Setup, port: int | None) -> Iterator[Finding]:
    yield Finding("komeet", "ok", f"{__version__}, Python {platform.python_version()}, prices of {book_version()}")
    file = "no file: providers come from the environment" if setup.config_file is None else str(setup.config_file)
    yield Finding("config", "ok", file)
    yield Finding("data", "ok", str(setup.data_dir))
    yield _server(setup, port)


def _server(setup: Setup, port: int | None) -> Finding:
    place = place_of(setup.config.server, port)
    match look(place):
        case Seen.KOMEET:
            return Finding("server", "ok", f"answers on {place.url}/v1")
        case Seen.NOBODY:
            return Finding("server", "note", f"none answers on {place.url}: `komeet serve` starts it")
        case Seen.OTHER:
            return Finding("server", "note", f"what answers on {place.url} is no Komeet with this configuration")
        case Seen.UNTRUSTED:
            why = "shows another certificate than that of `server.tls.cert_file`, or one that has expired"
            return Finding("server", "problem", f"{place.url} {why}")


def _keys(setup: Setup) -> Iterator[Finding]:
    now = SystemClock().unix_ms()
    try:
        with existing_files(setup.config_file, setup.data_dir) as files:
            known = [] if files is None else list_keys(files.ledger)
    except StoreError as error:
        yield Finding("keys", "problem", str(error))
        return
    live = [key for key in known if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)]
    if live:
        yield Finding("keys", "ok", f"{len(live)} active")
    else:
        yield Finding("keys", "note", "none is active: `komeet key create --name NAME` makes one")


def _embedded(setup: Setup) -> Iterator[Finding]:
    if not setup.config.embedded.enabled:
        yield Finding("embedded", "note", "switched off by the configuration")
        return
    lacking = missing_model(setup.data_dir)
    if lacking is None:
        yield Finding("embedded", "ok", "the model is installed: it answers without any account")
    else:
        others = any(not provider.embedded for provider in setup.found.providers)
        yield Finding("embedded", "note" if others else "problem", lacking)


def _providers(setup: Setup, listed: Sequence[Listed]) -> Iterator[Finding]:
    if not setup.found.providers:
        yield Finding("providers", "problem", "there is none, and the embedded model is switched off")
    for provider in setup.found.providers:
        if provider.embedded:
            continue
        count = sum(model.provider == provider.name for model in listed)
        models = f"{count:,} models known" if count else f"asked by `{provider.name}/MODEL`"
        text = f"{provider.name}: {_address(provider.origin, provider.prefix)}{_keys_of(provider)}, {models}"
        if provider.origin.scheme == "http" and not is_this_machine(provider.origin.host):
            yield Finding("providers", "note", f"{text}; what is sent there goes in the clear")
        else:
            yield Finding("providers", "ok", text)


def _keys_of(provider: Provider) -> str:
    if provider.signing is not None:
        return ", signed"
    keys = len(provider.credentials)
    if keys < 2:
        return "" if keys else ", no key"
    return f", {keys} keys ({', '.join(f'{one.name}: {one.weight}' for one in provider.credentials)})"


def _known(setup: Setup) -> Iterator[Finding]:
    """Say how much is known, of those that are configured and of all others."""
    counts = count(registry.load().values(), load_book(setup.data_dir), profiles.load())
    yield Finding(
        "known",
        "ok",
        f"{counts.providers} providers in the registry; {counts.priced:,} models with a price, {counts.profiled:,} of"
        " them with what they take",
    )


def _ways(setup: Setup, *, connect: bool) -> Iterator[Finding]:
    """Say what stands between here and the providers, and with `connect` whether they are reached."""
    from komeet.cli import outward  # noqa: PLC0415 - most commands need none of it

    try:
        ways = outward.ways(setup)
    except ConfigError as error:
        yield Finding("ways", "problem", str(error))
        return
    providers = [provider for provider in setup.found.providers if not provider.embedded]
    beyond = {provider.name: outward.proxy_of(provider, ways) for provider in providers}
    for proxy in dict.fromkeys(found for found in beyond.values() if found is not None):
        names = ", ".join(name for name, found in beyond.items() if found == proxy)
        yield Finding("ways", "ok", f"through the proxy {proxy}: {names}")
    if not connect:
        return
    for provider, problem in zip(providers, outward.connect(providers, ways), strict=True):
        text = f"{provider.name}: {problem or 'connected'}"
        yield Finding("reached", "ok" if problem is None else "problem", text)


def _address(origin: Origin, prefix: str) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    usual = {"http": 80, "https": 443}[origin.scheme] == origin.port
    return f"{origin.scheme}://{host}{'' if usual else f':{origin.port}'}{prefix}"


def _answers(known: Directory[Provider]) -> Iterator[Finding]:
    nobody: list[str] = []
    for name in _EXAMPLES:
        try:
            candidate = known.resolve(name)
        except ModelNotFound:
            nobody.append(name)
        else:
            who = candidate.provider
            by_name = who.models is not None or who.price_id is not None
            notes = ["takes any name"] * (not by_name) + ["its price is not known"] * (candidate.price is None)
            more = f" ({', '.join(notes)})" if notes else ""
            yield Finding("answers", "ok", f"{name}: {who.name}{more}")
    if nobody:
        yield Finding("answers", "note", f"nobody for {', '.join(nobody)}")
    count = len(known.listing())
    yield Finding("models", "ok" if count else "note", f"{count:,} known by name; `komeet models` lists them")


def _ends(setup: Setup, known: Directory[Provider]) -> Iterator[Finding]:
    """Say which models that the file names are shut down, or will be."""
    config = setup.config
    routed = [one.model for route in config.routes for group in route.groups for one in group.candidates]
    for name in dict.fromkeys([*config.aliases.values(), *routed]):
        try:
            found = known.resolve(name)
        except ModelRetired as retired:
            yield Finding("ends", "note", retired.message)
            continue
        except ModelNotFound:
            continue  # an alias, a route, or what `komeet explain` says of it
        span = found.replaces or found.lifespan
        if span is not None and span.is_deprecated(at=SystemClock().unix_ms()):
            after = f"; {span.successor} replaces it" if span.successor else ""
            yield Finding("ends", "note", f"{span.model} ({found.provider.name}): {span.shutdown}{after}")


def _missing(setup: Setup) -> list[Missing]:
    """The registry's providers that are not configured; none where a file says which there are."""
    if setup.config.providers is not None:
        return []
    there = {provider.name for provider in setup.found.providers}
    rows = [row for row in registry.load().values() if row.name not in there and not row.embedded]
    return [Missing(row.name, variables(row)) for row in rows]


def variables(row: Row) -> tuple[str, ...]:
    """Return the environment variables of which one is enough to configure a provider, the usual one first."""
    return (*row.host_env, *row.base_url_env, *row.key_env) if row.auth == "optional" else row.key_env
