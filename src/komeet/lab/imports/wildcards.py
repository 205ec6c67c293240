"""Names with `*` in them: what a provider is asked for by whatever name."""

from collections.abc import Sequence

from komeet.lab.imports.found import Notes
from komeet.lab.imports.placing import Entry, Placed


def offer(wild: Sequence[Placed], entries: Sequence[Entry], notes: Notes) -> None:
    """Let providers offer the bare names that patterns stand for.

    Args:
        wild: deployments with a pattern for a name.
        entries: the providers; their `models` are added to.
        notes: takes what was done, and what could not be.
    """
    for each in wild:
        alias, model, path = each.deployment.alias, each.deployment.model, each.deployment.path
        entry = next(entry for entry in entries if entry.name == each.provider)
        if "/" not in alias and model in {"*", alias}:
            taken = [other.name for other in entries if other is not entry and alias in (other.models or ())]
            entry.models = [*(entry.models or ()), *([] if alias in (entry.models or ()) else [alias])]
            notes.maps(path, f"`{entry.name}` offers `{alias}` by bare name")
            if taken:
                notes.differs(path, f"`{taken[0]}` offers the same names: one of them is asked, not both in turn")
        elif alias == f"{entry.name}/{model}":
            notes.maps(path, f"`{entry.name}/…` asks `{entry.name}` for any model")
        else:
            notes.missing(path, f"no routes with `*`: callers ask `{entry.name}/…` instead of `{alias}`")
