"""docs/clients.md, made of the manifest, the lock files and what the last runs said."""

from collections.abc import Iterator
from typing import Final

from tests.clients import results
from tests.clients.manifest import ROOT, Client, clients
from tests.clients.results import Ran, Result

PAGE: Final = ROOT / "docs" / "clients.md"
NAMES: Final = {
    "openai_chat": "Chat",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "gemini": "Gemini",
    "embedded": "Embedded",
}
HEAD: Final = """# Clients

<!-- Written by `make test-clients`. -->

Real clients, each in an environment of its own that a lock file pins, pointed at a running Komeet. Behind it stand a
scripted provider of each wire format, whose model calls the tools it is pointed at, fills the schemas it is given and
says what it was shown, and the embedded model. So the same cases run with a provider that speaks the client's format
and with providers that do not: where the columns differ from the surface, every request and answer was translated.

A cell is *passed/run*; `–` was not run. What failed, and what a suite leaves out, is listed below the table.

`make test-clients` runs them all, writes this page and fails where a case failed; `make test-clients ARGS="--only
langchain-openai"` runs one, `ARGS="--lock --only …"` moves its lock file to the newest versions. It needs Node for the
clients of npm. `make test` runs those marked † as well, with tests of their own, and checks that this page is of the
versions in the lock files.
"""


def page() -> str:
    """Return the whole page."""
    known = clients()
    kept = results.read()
    columns = [name for name in NAMES if any(name in by for each in kept.values() for by in each.runs.values())]
    lines = [HEAD, *_table(known, kept, columns), "\n## What each ran\n"]
    for client in known:
        lines += list(_about(client, kept.get(client.name)))
    return "\n".join(lines).rstrip() + "\n"


def _table(known: tuple[Client, ...], kept: dict[str, Result], columns: list[str]) -> Iterator[str]:
    yield "| client | version | surface | " + " | ".join(NAMES[name] for name in columns) + " |"
    yield "|---|---|---|" + "---|" * len(columns)
    for client in known:
        result = kept.get(client.name)
        for surface in client.surfaces:
            by = result.runs.get(surface, {}) if result else {}
            cells = " | ".join(_cell(by[name]) if name in by else "–" for name in columns)
            mark = " †" if client.in_make_test else ""
            yield f"| {client.name}{mark} | {client.version} | {NAMES[surface]} | {cells} |"


def _cell(ran: Ran) -> str:
    text = f"{ran.passed}/{ran.passed + len(ran.failed)}"
    return f"**{text}**" if ran.failed else text


def _about(client: Client, result: Result | None) -> Iterator[str]:
    yield f"**{client.name}**: {client.ran}"
    yield from (f"- {note}" for note in client.notes)
    if result is not None:
        yield from _grouped(result, "failed")
        yield from _grouped(result, "skipped")
    yield ""


def _grouped(result: Result, kind: str) -> Iterator[str]:
    """Each reason once, with its cases and the runs in which it was so."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    runs = {f"{surface} {name}": ran for surface, by in result.runs.items() for name, ran in by.items()}
    by_case: dict[tuple[str, str], list[str]] = {}
    for run, ran in runs.items():
        for case, why in (ran.failed if kind == "failed" else ran.skipped).items():
            first = next(iter(why.strip().splitlines()), "no reason given").removeprefix("Skipped: ")
            by_case.setdefault((case, first), []).append(run)
    for (case, why), where in by_case.items():
        found.setdefault((why, tuple(where)), []).append(f"`{case}`")
    for (why, where), cases in found.items():
        yield f"- {kind}{_where(where, list(runs))}: {', '.join(cases)} ({_short(why)})"


def _where(some: tuple[str, ...], runs: list[str]) -> str:
    scripted = [run for run in runs if not run.endswith(" embedded")]
    if set(some) >= set(scripted):
        return ""
    names = [" → ".join(NAMES[name] for name in run.split(" ")) for run in some]
    surfaces = {run.split(" ")[0] for run in some}
    if len(surfaces) == 1:
        (surface,) = surfaces
        if set(some) >= {run for run in scripted if run.startswith(f"{surface} ")}:
            return f" over {NAMES[surface]}"
    return f", {', '.join(names)}"


def _short(why: str) -> str:
    return why if len(why) <= 200 else f"{why[:200]}…"
