"""What every client's script is made of: cases that run one after another, each told as a line of JSON.

A script is called `script URL KEY MODEL SURFACE scripted|embedded`, where the client is installed and Komeet is not.
"""

import asyncio
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel


_OUT = os.fdopen(os.dup(1), "w")  # stays the way to the runner where a client takes standard output for itself


@dataclass(frozen=True)
class Given:
    """What a script is called with."""

    url: str
    key: str
    model: str
    surface: str
    embedded: bool

    @property
    def limit(self) -> int:
        """Tokens that an answer needs at most: the embedded model is slow where the machine is busy."""
        return 24 if self.embedded else 200

    @property
    def other_model(self) -> str:
        """Another model of the same provider, by a name that tells it without the provider's."""
        return f"other-{self.model.partition('/')[0]}"


def given() -> Given:
    """Read the arguments."""
    url, key, model, surface, which = sys.argv[1:]
    return Given(url, key, model, surface, which == "embedded")


@dataclass
class Cases:
    """The cases of a script, in order."""

    only: str = ""
    all: list[tuple[str, Callable[[], Any]]] = field(default_factory=list[tuple[str, Callable[[], Any]]])

    def scripted(self, case: Callable[[], Any]) -> Callable[[], Any]:
        """A case that needs a model that does as it is told."""
        if not given().embedded:
            self.all.append((case.__name__, case))
        return case

    def any_model(self, case: Callable[[], Any]) -> Callable[[], Any]:
        """A case that any model passes."""
        self.all.append((case.__name__, case))
        return case

    def run(self) -> None:
        """Run them; a case that fails says where."""
        for name, case in self.all:
            try:
                if inspect.iscoroutinefunction(case):
                    asyncio.run(case())
                else:
                    case()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the case's failure
                traceback.print_exc()
                tell(name, "failed", f"{type(error).__name__}: {error}")
            else:
                tell(name, "passed")


def tell(case: str, outcome: str, why: str = "") -> None:
    """Write one line of the protocol."""
    print(json.dumps({"case": case, "outcome": outcome, "why": why[:500]}), file=_OUT, flush=True)
