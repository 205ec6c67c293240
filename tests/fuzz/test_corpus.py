"""Every input that fuzzing kept, and those that it begins with: each ends in an answer or in the declared error."""

import ast
import json
from pathlib import Path

import pytest
from tests.fuzz import keep
from tests.fuzz.documents import documents
from tests.fuzz.framing import server_sent
from tests.fuzz.http_server import server
from tests.fuzz.keep import CORPUS, choose, kept, reached
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target, parted, read_json
from tests.fuzz.targets import TARGETS

from komeet.core.http import HttpRequest
from komeet.wire.sse import Splitter

NAMES = [target.name for target in TARGETS]
KEPT = [pytest.param(target, file, id=f"{target.name}/{file.name}") for target in TARGETS for file in kept(target.name)]
STARTS = [
    pytest.param(target, start, id=f"{target.name}/{number}")
    for target in TARGETS
    for number, start in enumerate(target.starts())
]


@pytest.mark.parametrize(("target", "file"), KEPT)
def test_what_was_kept(target: Target, file: Path) -> None:
    target.run(file.read_bytes())


@pytest.mark.parametrize(("target", "start"), STARTS)
def test_what_it_begins_with(target: Target, start: bytes) -> None:
    target.run(start)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_no_bytes_at_all_and_a_few(target: Target) -> None:
    for data in (b"", b"\n", b"0", b"\xff\xff\xff\xff\n\xff", b"0000\n{}", b"1\n\0\n\0\n"):
        target.run(data)


def test_every_target_has_inputs_that_are_few_and_small() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(NAMES)
    for target in TARGETS:
        sizes = [file.stat().st_size for file in kept(target.name)]
        assert 0 < len(sizes) <= keep.MOST_FILES + 40
        assert max(sizes) <= target.most


def test_replaying_needs_nothing_that_only_fuzzing_does() -> None:
    for file in Path(__file__).parent.glob("*.py"):
        named = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        assert ("atheris" in named) == (file.name in {"child.py", "test_corpus.py"}), file.name


def test_a_parser_that_lets_something_through_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: bytes) -> None:
        """Look at nothing."""

    monkeypatch.setattr("komeet.wire.json._check_utf8", nothing)
    with pytest.raises(UnicodeDecodeError):
        documents(b'{"a":"\xff"}')


def test_a_parser_that_depends_on_how_it_is_fed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(self: Splitter) -> None:
        self._searched = len(self._buffer)  # pyright: ignore[reportPrivateUsage] - a mistake of it

    monkeypatch.setattr("komeet.wire.sse.Splitter._measure", searched)
    with pytest.raises(AssertionError):
        server_sent(b"21\nevent: a\ndata: x\n\ndata: y\n\n")


def test_a_server_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> HttpRequest:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr("komeet.net.intake.HttpRequest", fail)
    with pytest.raises(ValueError, match="of ours"):
        server(b"000\nGET / HTTP/1.1\r\nhost: a\r\n\r\n")


def test_options_are_digits_and_the_first_line() -> None:
    options, rest = parted(b"13\nx\ny")
    assert (options.number(0, 5), options.number(1, 2), options.number(2, 9), rest) == (1, 1, 0, b"x\ny")


def test_strict_json_has_no_words_for_what_is_no_number() -> None:
    assert read_json(b'{"a":1.50}') == {"a": "1.50"}
    with pytest.raises(AssertionError):
        read_json(b"[NaN]")


def test_changes_keep_json_and_length_and_follow_from_their_number() -> None:
    start = b'00\nevent: a\ndata: {"a":{"b":["c",1]}}\n\ndata: {"d":null}\n\n'
    mutator = Mutator([start])
    made = {mutator.mutate(start, 200, seed) for seed in range(200)}
    assert made == {mutator.mutate(start, 200, seed) for seed in range(200)}
    assert len(made) > 100
    assert max(len(each) for each in made) <= 200
    for each in made:
        for line in each.split(b"\n"):
            if line.startswith(b"data: {"):
                json.loads(line[6:].decode("utf-8", "surrogatepass"))


def test_what_is_kept_reaches_all_and_is_no_more_than_that_takes() -> None:
    target = next(each for each in TARGETS if each.name == "json")
    inputs = [*target.starts(), b'{"a":1}', b'{"a":2}']
    chosen = choose(target, inputs)
    assert len(chosen) < len(inputs)
    everything = frozenset[keep.Step]().union(*[reached(target, each) for each in inputs])
    assert frozenset[keep.Step]().union(*[reached(target, each) for each in chosen]) == everything
