"""Which of a provider's keys a call shows: they take turns, and one that is refused is left alone for a while."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol, final

from komeet.pipeline.plan import AnyCandidate
from komeet.providers.credential import Credential, next_turn
from komeet.routing.health import Health, HealthBook, Who


class Keyring(Protocol):
    """Has the keys that may change while Komeet runs."""

    async def current(self, provider: str, credential: Credential) -> Credential:
        """Return the credential with the key that holds now.

        Raises:
            ConnectFailed: it could not be had.
        """
        ...

    def forget(self, provider: str, credential: Credential) -> bool:
        """Have the key anew next time, since it was refused; return whether that may be another one."""
        ...


@final
class Credentials:
    """The turns of all providers' keys, in one process."""

    __slots__ = ("_balances", "_health", "_keyring")

    def __init__(self, keyring: Keyring | None = None, health: HealthBook | None = None) -> None:
        self._keyring: Final = keyring
        self._health: Final = health or HealthBook()
        self._balances: Final[dict[str, Mapping[str, int]]] = {}

    async def take(self, candidate: AnyCandidate, tried: Collection[str], now: float) -> Credential | None:
        """Return the credential that the next attempt shows, with its key; None: the provider takes none.

        Args:
            candidate: who is asked.
            tried: the names of those that this call has shown it before: others go first.
            now: seconds of a clock that only goes forward.

        Raises:
            ConnectFailed: its key could not be had.
        """
        provider = candidate.provider
        if not provider.credentials:
            return None
        chosen = provider.credentials[0] if len(provider.credentials) == 1 else self._turn(candidate, tried, now)
        if chosen.source is None or self._keyring is None:
            return chosen
        return await self._keyring.current(provider.name, chosen)

    def set_aside(self, candidate: AnyCandidate, credential: Credential, now: float, seconds: float) -> None:
        """Leave a credential alone that was refused, or whose limit is reached; others are shown meanwhile."""
        if len(candidate.provider.credentials) > 1:
            self._of(candidate, credential).cool(now, seconds)

    def renew(self, candidate: AnyCandidate, credential: Credential) -> bool:
        """Have the key of a credential anew, since it was refused; return whether that may be another one."""
        if credential.source is None or self._keyring is None:
            return False
        return self._keyring.forget(candidate.provider.name, credential)

    def has_another(self, candidate: AnyCandidate, tried: Collection[str], now: float) -> bool:
        """Whether there is a credential that this call has not shown, and that is not set aside."""
        credentials = candidate.provider.credentials
        return len(credentials) > 1 and any(
            one.name not in tried and self._of(candidate, one).cool_until <= now for one in credentials
        )

    def wait(self, candidate: AnyCandidate, now: float) -> float:
        """Return the seconds until one of several credentials is not set aside any more; 0: there is one."""
        return max(0.0, min(self._of(candidate, one).cool_until for one in candidate.provider.credentials) - now)

    def _turn(self, candidate: AnyCandidate, tried: Collection[str], now: float) -> Credential:
        provider = candidate.provider
        well = [one for one in provider.credentials if self._of(candidate, one).cool_until <= now]
        if not well:
            return min(provider.credentials, key=lambda one: self._of(candidate, one).cool_until)
        allowed = [one for one in well if one.name not in tried] or well
        chosen, balance = next_turn(provider.credentials, self._balances.get(provider.name, {}), allowed.__contains__)
        assert chosen is not None
        self._balances[provider.name] = balance
        return chosen

    def _of(self, candidate: AnyCandidate, credential: Credential) -> Health:
        return self._health.of(Who(candidate.provider.name, candidate.model, credential.name))
