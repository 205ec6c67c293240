"""`komeet ledger`: whether the books are right, and whether they are those that were sealed."""

import sys
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail, money, print_json, timestamp
from komeet.cli.setup import existing_files
from komeet.core.money import dollars
from komeet.ledger.free import Free
from komeet.ledger.port import Outcome
from komeet.store.auditor import audit_all
from komeet.store.errors import StoreError
from komeet.store.faults import describe
from komeet.store.seal import Verified
from komeet.store.seal import verify as walk
from komeet.store.shown import Shown, find_attempts

program = new_program()
_NOTHING = "Nothing has been used yet."


@program.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST", help="The head of an earlier run, kept elsewhere: the chain must go through it."
        ),
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Walk the chain of seals, and name its first break.

    That is where rows are not those that were sealed.

    Prints the head: the digest of the last seal. Whoever keeps it elsewhere can show with --head that nothing before
    it was changed, and that the end was not cut off. Ends with status 1 where the chain is broken.
    """
    digest = None if head is None else _digest(head)
    try:
        with existing_files(config, data_dir) as files:
            if files is None:
                fail(_NOTHING)
            found = walk(files.ledger, digest)
    except StoreError as error:
        fail(str(error))
    except SQLAlchemyError as error:
        fail(f"the ledger cannot be read: {describe(error)}")
    if as_json:
        print_json(_verified(found))
    elif found.broken is None:
        console().print(escape(f"{found.seals:,} seals are whole, to posting {found.last}; {_unsealed(found)}."))
        console().print(escape(f"head: {found.head.hex()}"))
    else:
        console(stderr=True).print(f"[red]broken:[/red] {escape(found.broken)}")
        console(stderr=True).print(escape(f"{found.seals:,} seals before it are whole, to posting {found.last}."))
    if found.broken is not None:
        raise typer.Exit(1)


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text.strip())
    except ValueError:
        digest = b""
    if len(digest) != 32:
        fail(f"--head {text!r} is not a digest: 64 hexadecimal digits, as `komeet ledger verify` prints them")
    return digest


def _unsealed(found: Verified) -> str:
    return "nothing is unsealed" if not found.unsealed else f"{found.unsealed:,} postings after it are not sealed yet"


def _verified(found: Verified) -> dict[str, object]:
    return {
        "seals": found.seals,
        "head": found.head.hex(),
        "last_posting": found.last,
        "unsealed": found.unsealed,
        "broken": found.broken,
    }


@program.command()
def audit(
    most: Annotated[int, typer.Option("--most", min=1, metavar="N", help="Stop after so many differences.")] = 20,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Derive every balance again, and name what differs.

    Balances of accounts, budgets and their windows, leases, what is listed as open, the postings of each attempt and
    entry, and the sums by the hour. It reads everything once, in portions: ten million calls take some minutes. Ends
    with status 1 where anything differs.
    """
    try:
        with existing_files(config, data_dir) as files:
            if files is None:
                fail(_NOTHING)
            found: list[str] = []
            for line in audit_all(files.ledger):
                found.append(line)
                if not as_json:
                    console(stderr=True).print(escape(line))
                if len(found) == most:
                    break
    except StoreError as error:
        fail(str(error))
    except SQLAlchemyError as error:
        fail(f"the ledger cannot be read: {describe(error)}")
    if as_json:
        print_json({"right": not found, "differences": found})
    elif not found:
        console().print("The books are right.")
    if found:
        raise typer.Exit(1)


@program.command()
def show(
    which: Annotated[str, typer.Argument(metavar="ID", help="Of an attempt (att_…) or of a request (req_…).")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print all that is known of an attempt or a request.

    What was held, how it ended, what was posted, what was entered about it since.
    """
    try:
        with existing_files(config, data_dir) as files:
            found = [] if files is None else find_attempts(files.ledger, which)
    except StoreError as error:
        fail(str(error))
    if not found:
        fail(f"there is no attempt and no request {which!r}; the header x-request-id of an answer names its request")
    if as_json:
        print_json([_json(one) for one in found])
        return
    for number, one in enumerate(found):
        if number:
            sys.stdout.write("\n")
        for name, text in _lines(one):
            console().print(f"{escape(name):12s} {escape(text)}".rstrip())


def _lines(one: Shown) -> list[tuple[str, str]]:
    hold = one.hold
    lines = [
        ("attempt", hold.attempt_id),
        ("request", hold.request_id),
        ("key", f"{one.key} ({hold.key_id})"),
        ("model", f"{hold.provider}/{hold.model}, asked for as {hold.model_asked}"),
        (
            "held",
            f"{timestamp(hold.held_at)}: at most {money(hold.amount)}, of the customer {money(hold.most_charged)}",
        ),
    ]
    if hold.tags:
        lines.append(("tags", ", ".join(hold.tags)))
    for share in hold.shares:
        since = "" if not share.starts_at else f" from {timestamp(share.starts_at)}"
        kind = "hard" if share.hard else "soft"
        whose = one.budgets.get(share.budget, "gone")
        lines.append(("share", f"{money(share.amount)} of budget {share.budget} ({whose}, {kind}){since}"))
    if hold.free is not None:
        limit = f"{hold.free.limit:,} tokens" if hold.free.tokens else money(hold.free.limit)
        lines.append(("allowance", f"{limit} of {hold.free.allowance}"))
    if one.ended is None:
        lines.append(("ended", "not yet" if one.is_open else "not at all: see `komeet ledger audit`"))
    else:
        lines += _ended(one.ended.outcome, one.ended.overrun)
        if one.is_open:
            lines.append(("open", "what it held stays held: `komeet ledger resolve` says what it cost"))
    for entry in one.entries:
        what = f"{entry.kind}: cost {money(entry.cost)}, charge {money(entry.charge)}; {entry.reason} ({entry.actor})"
        lines.append((f"entry {entry.id}", f"{timestamp(entry.created_at)} {what}"))
    for number, posting, account in one.postings:
        cause = "" if posting.entry is None else f" by entry {posting.entry}"
        lines.append((f"posting {number}", f"{posting.leg} {money(posting.amount)} on {account}{cause}"))
    return lines


def _ended(outcome: Outcome, overrun: int) -> list[tuple[str, str]]:
    numbers = {name: getattr(outcome.usage, name) for name in outcome.usage.__struct_fields__}
    usage = ", ".join(f"{name} {number:,}" for name, number in numbers.items() if number)
    notes = [
        *(["estimated"] if outcome.estimated else []),
        *(["unpriced"] if outcome.unpriced else []),
        *([f"overrun {money(overrun)}"] if overrun else []),
        *([f"because of {outcome.reason}"] if outcome.reason else []),
    ]
    lines = [("ended", ", ".join([f"{timestamp(outcome.ended_at)}: {outcome.state}", *notes]))]
    free = f", and {money(outcome.free)} of it is free" if outcome.free else ""
    lines.append(("cost", f"{money(outcome.cost)}, charged {money(outcome.charged)}{free}"))
    if outcome.price_version:
        lines.append(("priced by", outcome.price_version))
    if outcome.model_served:
        lines.append(("served by", outcome.model_served))
    if usage:
        lines.append(("used", usage))
    if outcome.latency_us:
        lines.append(("took", f"{outcome.latency_us / 1_000_000:.3f} s"))
    return lines


def _json(one: Shown) -> dict[str, object]:
    hold, ended = one.hold, one.ended
    return {
        "attempt_id": hold.attempt_id,
        "request_id": hold.request_id,
        "key_id": hold.key_id,
        "key": one.key,
        "provider": hold.provider,
        "model": hold.model,
        "model_asked": hold.model_asked,
        "tags": hold.tags,
        "held_at": timestamp(hold.held_at),
        "amount": dollars(hold.amount),
        "charge_held": dollars(hold.most_charged),
        "open": one.is_open,
        "allowance": None if hold.free is None else _allowance(hold.free),
        "shares": [
            {
                "budget": share.budget,
                "of": one.budgets.get(share.budget),
                "window": timestamp(share.starts_at) if share.starts_at else None,
                "amount": dollars(share.amount),
                "hard": share.hard,
                "counts": "charge" if share.charged else "cost",
            }
            for share in hold.shares
        ],
        "outcome": None
        if ended is None
        else {
            "state": ended.outcome.state,
            "ended_at": timestamp(ended.outcome.ended_at),
            "cost": dollars(ended.outcome.cost),
            "charge": dollars(ended.outcome.charged),
            "free": dollars(ended.outcome.free),
            "free_tokens": ended.outcome.free_tokens,
            "overrun": dollars(ended.overrun),
            "estimated": ended.outcome.estimated,
            "unpriced": ended.outcome.unpriced,
            "usage": ended.outcome.usage,
            "price_version": ended.outcome.price_version,
            "model_served": ended.outcome.model_served,
            "reason": ended.outcome.reason,
            "latency_us": ended.outcome.latency_us,
            "first_token_us": ended.outcome.first_token_us,
        },
        "entries": [
            {
                "id": entry.id,
                "kind": entry.kind,
                "cost": dollars(entry.cost),
                "charge": dollars(entry.charge),
                "reason": entry.reason,
                "actor": entry.actor,
                "created_at": timestamp(entry.created_at),
            }
            for entry in one.entries
        ],
        "postings": [
            {
                "id": number,
                "account": account,
                "leg": posting.leg,
                "amount": dollars(posting.amount),
                "entry": posting.entry,
            }
            for number, posting, account in one.postings
        ],
    }


def _allowance(free: Free) -> dict[str, object]:
    return {
        "name": free.allowance,
        "window": timestamp(free.starts_at) if free.starts_at else None,
        "limit": free.limit if free.tokens else dollars(free.limit),
        "counts": "tokens" if free.tokens else "charge",
    }
