"""`komeet chat`: the answer on standard output, what it came to on standard error, a key that stays its own."""

import re
import stat
from collections.abc import Iterator

import pytest
from tests.cli.conftest import Komeet, Said
from tests.cli.fake import DONE, HELLO, USAGE, Fake, event, running

OWN = "cli.key"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with running(Fake()) as started:
        yield started


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes what the fake's calls cost: do not wait for it."""
    monkeypatch.setattr("komeet.cli.chat._PATIENCE", 0)


pytestmark = pytest.mark.usefixtures("patience")


def ask(komeet: Komeet, fake: Fake, *arguments: str, **more: str) -> Said:
    return komeet("chat", "--port", str(fake.port), *arguments, env=more)


def test_the_answer_and_what_it_came_to(komeet: Komeet, fake: Fake) -> None:
    said = ask(komeet, fake, "Hi", "--system", "Be brief.", "--max-tokens", "7", "-m", "some-model")
    assert said.status == 0
    assert said.out == "Hello\n"
    assert re.fullmatch(
        r"somebody/some-model: 1,200 \+ 3 tokens, cost not known yet,"
        r" \d+\.\d\d s \(first after \d+\.\d\d s, then \d+ tokens/s\)\n",
        said.err,
    )
    assert fake.calls == [
        {
            "model": "some-model",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "max_tokens": 7,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


def test_the_question_may_come_from_standard_input(komeet: Komeet, fake: Fake) -> None:
    said = komeet("chat", "-", "--port", str(fake.port), stdin="Summarise:\ntext\n")
    assert said.out == "Hello\n"
    assert fake.calls[0]["messages"] == [{"role": "user", "content": "Summarise:\ntext\n"}]


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        (("a", "smollm2-135m", "gpt-5.2"), "gpt-5.2"),
        (("a", "smollm2-135m"), "smollm2-135m"),
        (("b", "a"), "b"),
    ],
)
def test_the_first_model_that_the_key_may_use(komeet: Komeet, fake: Fake, models: tuple[str, ...], chosen: str) -> None:
    fake.models = models
    assert ask(komeet, fake, "Hi").status == 0
    assert fake.calls[0]["model"] == chosen


def test_without_a_model_it_asks_for_one(komeet: Komeet, fake: Fake) -> None:
    fake.models = ()
    said = ask(komeet, fake, "Hi")
    assert (said.status, said.out) == (1, "")
    assert "-m names one" in said.err


def test_its_own_key_is_made_once_and_is_its_owner_s_only(komeet: Komeet, fake: Fake) -> None:
    for _ in range(2):
        assert ask(komeet, fake, "Hi").status == 0
    path = komeet.data_dir / OWN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert fake.keys == [path.read_text().strip()] * 2
    assert [key["name"] for key in komeet("key", "list", "--json").json] == ["komeet chat"]
    assert [file.name for file in komeet.data_dir.glob(f"{OWN}*")] == [OWN]


@pytest.mark.parametrize("damage", ["revoke", "truncate", "garble"])
def test_its_own_key_is_made_anew_where_it_does_not_work(komeet: Komeet, fake: Fake, damage: str) -> None:
    ask(komeet, fake, "Hi")
    path = komeet.data_dir / OWN
    match damage:
        case "revoke":
            komeet("key", "revoke", "komeet chat")
        case "truncate":
            path.write_bytes(b"")
        case _:
            path.write_bytes(b"\xff\xfe")
    assert ask(komeet, fake, "Hi").status == 0
    assert fake.keys[1] != fake.keys[0]
    assert path.read_text().strip() == fake.keys[1]


def test_the_caller_s_key_is_used_and_kept_nowhere(komeet: Komeet, fake: Fake) -> None:
    said = ask(komeet, fake, "Hi", KOMEET_API_KEY="sk-km-given")
    assert said.status == 0
    assert fake.keys == ["sk-km-given"]
    assert "its cost is in another ledger" in said.err
    assert not (komeet.data_dir / OWN).exists()
    assert "sk-km-given" not in said.out + said.err


def test_no_key_is_shown(komeet: Komeet, fake: Fake) -> None:
    outputs = [ask(komeet, fake, "Hi")]
    fake.status = 401
    outputs += [ask(komeet, fake, "Hi"), ask(komeet, fake, "Hi", KOMEET_API_KEY="sk-km-given")]
    assert not any("sk-km-" in said.out + said.err for said in outputs)


def test_a_refused_key_says_whose_it_is(komeet: Komeet, fake: Fake) -> None:
    fake.status = 401
    own = ask(komeet, fake, "Hi")
    assert own.status == 1
    assert "--data-dir" in own.err
    given = ask(komeet, fake, "Hi", KOMEET_API_KEY="sk-km-given")
    assert given.status == 1
    assert "KOMEET_API_KEY" in given.err


def test_a_refusal_is_said_as_it_came(komeet: Komeet, fake: Fake) -> None:
    fake.status = 429
    said = ask(komeet, fake, "Hi", "-m", "some-model")
    assert (said.status, said.out, said.err) == (1, "", "komeet: No.\n")


def test_an_answer_that_breaks_off_does_not_pass_as_whole(komeet: Komeet, fake: Fake) -> None:
    fake.stream = (event("Hel"), event("lo"), event(error={"message": "The provider ended early."}, choices=[]))
    said = ask(komeet, fake, "Hi")
    assert (said.status, said.out, said.err) == (1, "Hello\n", "komeet: The provider ended early.\n")


def test_an_event_that_is_not_json_is_an_error(komeet: Komeet, fake: Fake) -> None:
    fake.stream = (event("Hi"), b"data: {no\n\n")
    said = ask(komeet, fake, "Hi")
    assert said.status == 1
    assert "not JSON" in said.err


def test_an_answer_that_was_cut_at_its_limit_says_so(komeet: Komeet, fake: Fake) -> None:
    fake.stream = (event("Hel"), event(finish="length"), USAGE, DONE)
    assert "3 tokens (cut at the limit)" in ask(komeet, fake, "Hi").err


def test_what_a_model_writes_cannot_drive_the_terminal(komeet: Komeet, fake: Fake) -> None:
    fake.stream = (event("a\x1b[2J\x1b]0;owned\x07\tb\nc\x9b"), *HELLO[2:])
    said = ask(komeet, fake, "Hi")
    assert said.out == "a�[2J�]0;owned�\tb\nc�\n"


def test_an_empty_question_is_a_mistake(komeet: Komeet, fake: Fake) -> None:
    assert "the prompt is empty" in ask(komeet, fake, " ").err
    assert fake.calls == []
