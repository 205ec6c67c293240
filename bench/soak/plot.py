"""The picture of a soak: memory, files and tasks over time, with what was done meanwhile."""

import itertools
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bench.soak.watch import Sample

_COLOURS: Final = {
    "worker": "#0b6e99",
    "supervisor": "#b0413e",
    "control": "#e0a030",
    "embedded chat": "#6b7a3a",
    "embedded vectors": "#7a4f8a",
}


def draw(samples: Sequence[Sample], reloads: Sequence[float], into: Path) -> None:
    """Write the picture, as SVG or whatever the name ends in; needs matplotlib (the group `plot`)."""
    mpl: Any = import_module("matplotlib")  # a soak without a picture needs none
    plt: Any = import_module("matplotlib.pyplot")
    mpl.use("Agg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "komeet", "font.size": 9, "axes.titlesize": 10})
    figure, places = plt.subplots(4, 1, figsize=(9, 10), sharex=True, layout="constrained")
    minutes = [sample.at / 60 for sample in samples]
    _memory(places[0], minutes, samples)
    _lines(places[1], minutes, samples, "fds", "file descriptors")
    _tasks(places[2], minutes, samples)
    _calls(places[3], minutes, samples)
    for place in places:
        place.grid(visible=True, linewidth=0.3)
        place.set_ylim(bottom=0)
        place.axvspan(minutes[-1] / 2, minutes[-1], color="#f4f4ee", zorder=0)
        for reload in reloads:
            place.axvline(reload / 60, color="#999", linestyle=":", linewidth=0.8)
    places[-1].set_xlabel("minutes (dotted: SIGHUP; shaded: what is judged)")
    figure.savefig(into, metadata={"Date": None})  # pyright: ignore[reportUnknownMemberType]
    plt.close(figure)


def _roles(samples: Sequence[Sample]) -> list[str]:
    return [role for role in _COLOURS if any(sample.total("rss", role) for sample in samples)]


def _memory(place: Any, minutes: Sequence[float], samples: Sequence[Sample]) -> None:
    roles = _roles(samples)
    place.stackplot(
        minutes,
        *([sample.total("rss", role) for sample in samples] for role in roles),
        labels=roles,
        colors=[_COLOURS[role] for role in roles],
        linewidth=0,
    )
    place.set_title("memory (resident, MiB)", loc="left")
    place.legend(loc="lower right", ncols=5, fontsize=8)


def _lines(place: Any, minutes: Sequence[float], samples: Sequence[Sample], what: str, title: str) -> None:
    for role in _roles(samples):
        place.plot(minutes, [s.total(what, role) for s in samples], color=_COLOURS[role], linewidth=1, label=role)
    place.set_title(title, loc="left")


def _tasks(place: Any, minutes: Sequence[float], samples: Sequence[Sample]) -> None:
    place.plot(
        minutes, [s.gauges.get("komeet_tasks", 0.0) for s in samples], color="#0b6e99", label="tasks", linewidth=1
    )
    place.plot(minutes, [s.total("threads") for s in samples], color="#7a4f8a", label="threads", linewidth=1)
    place.plot(minutes, [s.callers for s in samples], color="#b0413e", label="calls under way", linewidth=1)
    place.set_title("tasks of the workers, threads of all processes, calls under way", loc="left")
    place.legend(loc="upper right", ncols=3, fontsize=8)


def _calls(place: Any, minutes: Sequence[float], samples: Sequence[Sample]) -> None:
    pairs = list(itertools.pairwise(samples))
    rates = [(after.calls - before.calls) / max(after.at - before.at, 1) for before, after in pairs]
    place.plot(minutes[1:], rates, color="#0b6e99", linewidth=1, label="calls begun a second")
    place.plot(minutes, [sample.load for sample in samples], color="#999", linewidth=1, label="load of the machine")
    place.set_title("traffic", loc="left")
    place.legend(loc="lower right", ncols=2, fontsize=8)
