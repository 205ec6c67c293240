"""Allowances: never more is free than there is, whoever ends first; and what was free can be told from the rows."""

from hypothesis import given
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.budget import Window
from komeet.ledger.decide import decide
from komeet.ledger.free import Free, FreeBook, FreeWindow, Taken, take
from komeet.ledger.port import Hold, Outcome, Share, State

ACME = Free("acme charges month UTC", 0, 4_000_000, tokens=False)
TOKENS = Free("acme tokens month UTC", 0, 1_575, tokens=True)


def test_an_amount_is_free_until_it_is_used() -> None:
    used, charges = 0, list[int]()
    for _ in range(4):
        taken = take(ACME, 1_500_000, 1_050, used)
        used += taken.used
        charges.append(1_500_000 - taken.amount)
    assert (charges, used) == ([0, 0, 500_000, 1_500_000], 4_000_000)


def test_tokens_are_free_until_they_are_used_and_a_call_beyond_is_charged_its_part() -> None:
    first = take(TOKENS, 1_500_000, 1_050, 0)
    assert first == Taken(1_500_000, 1_050)
    second = take(TOKENS, 1_500_000, 1_050, first.used)
    assert second == Taken(750_000, 525)
    assert take(TOKENS, 1_500_000, 1_050, 1_575) == Taken(0, 0)
    assert take(TOKENS, 1_500_000, 0, 0) == Taken(0, 0), "a fee without tokens is not free by tokens"


@given(st.integers(0, 10**12), st.integers(0, 10**9), st.integers(0, 10**12), st.integers(0, 10**12), st.booleans())
def test_what_is_free_is_within_the_charge_and_the_allowance(
    charge: int, tokens: int, limit: int, used: int, counts_tokens: bool
) -> None:
    taken = take(Free("a", 0, limit, tokens=counts_tokens), charge, tokens, used)
    assert 0 <= taken.amount <= charge
    assert 0 <= taken.used <= max(0, limit - used)
    assert taken.tokens <= tokens


def hold(number: int, free: Free | None, *shares: Share) -> Hold:
    return Hold(
        attempt_id=f"att_{number}",
        request_id="req",
        key_id="key",
        accounts=(1,),
        provider="p",
        model="m",
        model_asked="m",
        amount=Nano(2_000_000),
        charge=Nano(2_000_000),
        held_at=1,
        shares=shares,
        free=free,
    )


def outcome(number: int, charge: int, state: State = State.SETTLED) -> Outcome:
    usage = Usage(input=1_000, output=50)
    return Outcome(
        attempt_id=f"att_{number}", state=state, cost=Nano(charge), charge=Nano(charge), usage=usage, ended_at=2
    )


def test_the_rest_is_posted_and_what_was_leased_is_given_back_whole() -> None:
    share = Share(7, 0, Nano(2_000_000), hard=True, charged=True)
    commands = [hold(1, ACME, share), outcome(1, 1_500_000)]
    decision = decide(commands, {}, {"p": 2}, 3, {ACME.window: 3_000_000})
    (end,) = decision.ended
    assert (end.outcome.charged, end.outcome.free, end.outcome.cost) == (500_000, 1_000_000, 1_500_000)
    assert decision.free == {ACME.window: 1_000_000}
    change = decision.windows[Window(7, 0)]
    assert (change.posted, change.leased) == (500_000, -1_500_000)
    assert sum(posting.amount for posting in decision.postings) == 0
    assert decision.changes[1].posted == 500_000


def test_only_what_is_settled_uses_it() -> None:
    commands = [hold(1, ACME), outcome(1, 0, State.VOIDED), hold(2, ACME), outcome(2, 0, State.ORPHAN)]
    assert decide(commands, {}, {"p": 2}, 3).free == {}


@given(
    st.lists(st.integers(0, 2_000_000), min_size=1, max_size=12),
    st.integers(0, 10_000_000),
    st.booleans(),
    st.lists(st.integers(1, 4), max_size=12),
)
def test_however_it_is_cut_into_transactions_the_same_is_free_and_the_books_know_it(
    charges: list[int], limit: int, tokens: bool, cuts: list[int]
) -> None:
    free = Free("a", 5, limit // 1_000 if tokens else limit, tokens=tokens)

    def run(sizes: list[int]) -> tuple[list[tuple[int, int]], int, list[str]]:
        used, found, book = dict[FreeWindow, int](), list[tuple[int, int]](), FreeBook()
        numbers = list(range(len(charges)))
        wrong: list[str] = []
        for size in [*sizes, len(charges)]:
            part, numbers = numbers[:size], numbers[size:]
            commands = [command for n in part for command in (hold(n, free), outcome(n, charges[n]))]
            decision = decide(commands, {}, {"p": 2}, 3, used)
            for window, more in decision.free.items():
                used[window] = used.get(window, 0) + more
            for end in decision.ended:
                one = end.outcome
                found.append((one.charged, one.free))
                fault = book.add(free, one.charged, Taken(one.free, one.free_tokens), 1_050)
                wrong += [fault] if fault else []
        return found, used.get(free.window, 0), wrong + book.compare(used)

    whole = run([])
    assert run(cuts) == whole
    found, used, wrong = whole
    assert not wrong
    assert used <= free.limit
    assert [charge + given for charge, given in found] == charges


def test_what_is_wrong_is_named() -> None:
    book = FreeBook()
    assert book.add(None, 5, Taken(1, 0), 10) == "a part of it is free, by no allowance"
    assert book.add(TOKENS, 0, Taken(6, 5), 10) == "another part of it is free than its tokens"
    assert book.compare({TOKENS.window: 4}) == ["allowance acme tokens month UTC from 0: 4 is used, but its rows say 5"]
    small = FreeBook()
    small.add(Free("a", 0, 3, tokens=False), 0, Taken(5, 0), 10)
    assert small.compare({FreeWindow("a", 0): 5}) == ["allowance a from 0: 5 is used of 3"]
