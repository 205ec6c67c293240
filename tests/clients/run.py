"""`make test-clients`: real clients, pointed at a running Komeet, and the page of what passed."""

import argparse
import sys
from typing import Any

from tests.clients import environments, page, results
from tests.clients.manifest import Client, clients
from tests.clients.results import Ran, Result
from tests.clients.stage import Stage


def main() -> int:
    """Run them, write the page, and fail where one failed."""
    parser = argparse.ArgumentParser(prog="make test-clients", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this client; may be repeated")
    parser.add_argument("--provider", action="append", default=[], metavar="FORMAT", help="nothing is written then")
    parser.add_argument("--surface", action="append", default=[], metavar="NAME", help="nothing is written then")
    parser.add_argument("--lock", action="store_true", help="write the lock files anew instead")
    parser.add_argument("--page", action="store_true", help="write the page anew, and run nothing")
    parser.add_argument("--verbose", action="store_true", help="show what the clients say")
    asked = parser.parse_args()
    known = clients()
    unknown = set(asked.only) - {client.name for client in known}
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    chosen = [client for client in known if not asked.only or client.name in asked.only]
    if asked.lock:
        for client in chosen:
            environments.lock(client)
        return 0
    failed = False if asked.page else _run(chosen, asked)
    page.PAGE.write_text(page.page(), "utf-8")
    return int(failed)


def _run(chosen: list[Client], asked: Any) -> bool:
    """Run each client on all its surfaces, with all providers; return whether anything failed."""
    failed = False
    with Stage(verbose=asked.verbose) as stage:
        for client in chosen:
            folder = environments.environment(client)
            result = Result(client.version, {})
            for surface in client.surfaces:
                for provider in (*stage.formats, *(["embedded"] if client.embedded else [])):
                    if surface in (asked.surface or [surface]) and provider in (asked.provider or [provider]):
                        ran = stage.run(client, folder, surface, provider)
                        result.runs.setdefault(surface, {})[provider] = ran
                        failed |= bool(ran.failed)
                        _show(client, surface, provider, ran)
            if not (asked.provider or asked.surface):
                _keep(client, result)
    return failed


def _keep(client: Client, result: Result) -> None:
    kept = results.read() | {client.name: result}
    results.write({each.name: kept[each.name] for each in clients() if each.name in kept})


def _show(client: Client, surface: str, provider: str, ran: Ran) -> None:
    total = ran.passed + len(ran.failed)
    skipped = f", {len(ran.skipped)} skipped" if ran.skipped else ""
    print(f"{client.name:24} {surface:20} {provider:20} {ran.passed}/{total}{skipped}", flush=True)
    for case, why in ran.failed.items():
        print(f"    {case}: {' '.join(why.split())[:400]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
