"""Ids sort by time, secrets do not print, and the tree of errors is whole."""

import inspect

import pytest

from komeet.core import errors
from komeet.core.clock import ManualClock, SystemClock
from komeet.core.ids import new_id, uuid7
from komeet.core.secrets import Secret


def test_ids_sort_by_the_time_they_were_made() -> None:
    clock = ManualClock()
    made: list[str] = []
    for _ in range(50):
        made.append(new_id("req_", clock))
        clock.advance(0.001)
    assert made == sorted(made)
    assert len(set(made)) == 50


def test_ids_are_no_others_whatever_the_clock_does() -> None:
    clock = ManualClock()
    made = [uuid7(clock) for _ in range(2_000)]  # it stands still
    clock.advance(3_600)
    made += [uuid7(clock) for _ in range(2_000)]
    clock.unix -= 3_600_000  # it is put back, and the same hour comes again
    made += [uuid7(clock) for _ in range(2_000)]
    assert len(set(made)) == 6_000


def test_ids_have_the_version_and_variant_of_rfc_9562() -> None:
    value = uuid7(SystemClock())
    assert value[6] >> 4 == 7
    assert value[8] >> 6 == 2


def test_a_secret_shows_itself_nowhere_but_on_demand() -> None:
    secret = Secret("sk-canary")
    shown = f"{secret} {secret!r} {secret!s} { {'k': secret} } {[secret]}"
    assert "canary" not in shown
    assert secret.reveal() == "sk-canary"
    assert secret == Secret("sk-canary")
    assert not Secret("")


def _tree() -> list[type[errors.KomeetError]]:
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.KomeetError) and kind is not errors.KomeetError
    ]


@pytest.mark.parametrize("kind", _tree(), ids=lambda kind: kind.__name__)
def test_every_error_states_its_status_code_and_blame(kind: type[errors.KomeetError]) -> None:
    assert 400 <= kind.status < 600
    assert kind.code
    blame = {400: errors.Blame.CLIENT, 500: errors.Blame.GATEWAY}
    if issubclass(kind, errors.UpstreamError):
        assert kind.blame is errors.Blame.UPSTREAM
    elif kind not in {errors.NotSupported, errors.VersionNotSupported}:
        assert kind.blame is blame[400 if kind.status < 500 else 500]
    assert kind.__name__ in (errors.__doc__ or "")
