"""Who may be asked for a call, in order: worked out as far as it is needed."""

from collections.abc import Callable, Iterator
from typing import Final, final

from komeet.core.errors import KomeetError
from komeet.providers.provider import Provider
from komeet.routing.directory import Candidate
from komeet.routing.route import Choice, Passed, nobody

AnyCandidate = Candidate[Provider]
Judge = Callable[[AnyCandidate], KomeetError | None]


@final
class Plan:
    """The candidates of one call, each once, those that its key may use and that read enough."""

    __slots__ = ("_judge", "_least_window", "_name", "_next", "_order", "_seen", "first", "passed", "refusals")

    def __init__(self, name: str, order: Iterator[Choice[Provider] | Passed], judge: Judge) -> None:
        """Take the order, and a judge that says why a candidate must not be asked, if so.

        Raises:
            KomeetError: nobody can be asked; says why.
        """
        self._name: Final = name
        self._order: Final = order
        self._judge: Final = judge
        self._seen: set[tuple[str, str]] | None = None
        self._least_window = 0
        self.refusals: list[KomeetError] = []
        self.passed: list[Passed] = []
        self._next: Choice[Provider] | None = None
        first = self._find()
        if first is None:
            raise nobody(name, self.refusals, self.passed)
        self._next = first
        self.first: Final[AnyCandidate] = first.candidate

    def has_more(self) -> bool:
        """Whether there is somebody who has not been asked."""
        if self._next is None:
            self._next = self._find()
        return self._next is not None

    def take(self) -> Choice[Provider] | None:
        """Return the next who is to be asked; None: there is nobody left."""
        found = self._next if self._next is not None else self._find()
        self._next = None
        return found

    def need_window(self, above: int | None) -> None:
        """Leave out those of whom it is known that they read no more tokens than this."""
        self._least_window = max(self._least_window, (above or 0) + 1)
        if self._next is not None and self._is_too_small(self._next.candidate):
            self._next = None

    def _find(self) -> Choice[Provider] | None:
        for choice in self._order:
            if isinstance(choice, Passed):
                self.passed.append(choice)
                continue
            if self._was_seen(choice.candidate) or self._is_too_small(choice.candidate):
                continue
            refusal = self._judge(choice.candidate)
            if refusal is None:
                return choice
            self.refusals.append(refusal)
            self.passed.append(Passed(choice.candidate.names[-1], refusal.message))
        return None

    def _was_seen(self, candidate: AnyCandidate) -> bool:
        who = (candidate.provider.name, candidate.model)
        if self._seen is None:
            self._seen = {who}
            return False
        if who in self._seen:
            return True
        self._seen.add(who)
        return False

    def _is_too_small(self, candidate: AnyCandidate) -> bool:
        window = candidate.context_window
        return self._least_window > 0 and window is not None and window < self._least_window
