"""Tables fit the terminal, keep their numbers whole, and say what they left out."""

import io
import re
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from komeet.cli.table import Column, table


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def printed(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int = 80, terminal: bool = True
) -> list[str]:
    out = Terminal() if terminal else io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "xterm")
        table(columns, rows, empty="Nothing.")
    return re.sub(r"\x1b\[\d*m", "", out.getvalue()).splitlines()


COLUMNS = (Column("model"), Column("cost", number=True), Column("tags", rank=1), Column("id", rank=2, least=36))
ROW = ("accounts/fireworks/models/kimi-k2-instruct", "$12.5", "team=web, blue", "key_" + "0" * 32)
OTHER = ("gpt-5.2", "$0.0000945", "", "key_" + "1" * 32)


def test_what_is_not_a_terminal_gets_everything_on_one_line() -> None:
    head, first, second = printed(COLUMNS, [ROW, OTHER], width=20, terminal=False)
    assert head.split() == ["model", "cost", "tags", "id"]
    assert all(cell in first for cell in ROW[:1] + ROW[2:])
    assert second.endswith(OTHER[3])


def test_numbers_stand_in_line_by_their_points() -> None:
    lines = printed((Column("cost", number=True),), [("$12",), ("$0.0000945",), ("1,234.5",), ("–",), ("2.5+",)])
    assert lines == ["         cost", "  $12", "   $0.0000945", "1,234.5", "    –", "    2.5+"]


def test_what_matters_least_goes_first_and_is_named() -> None:
    wide = printed(COLUMNS, [ROW], width=110)
    narrow = printed(COLUMNS, [ROW], width=60)
    narrowest = printed(COLUMNS, [ROW], width=24)
    assert "id" in wide[0].split()
    assert narrow[0].split() == ["model", "cost", "tags"]
    assert narrow[-1] == "No room for: id. --json has everything."
    assert narrowest[0].split() == ["model", "cost"]
    assert narrowest[-1].startswith("No room for: tags, id.")


def test_a_column_without_a_word_is_not_shown() -> None:
    assert printed(COLUMNS, [OTHER], width=200)[0].split() == ["model", "cost", "id"]


def test_nothing_is_said_in_words() -> None:
    assert printed(COLUMNS, []) == ["Nothing."]


words = st.text(st.characters(codec="utf-8") | st.sampled_from(" ,/[]"), max_size=60)
amounts = st.integers(0, 10**12).map(lambda nano: f"${nano / 10**9:.9f}")


@given(st.lists(st.tuples(words, amounts, words, words), min_size=1, max_size=5), st.integers(40, 120))
def test_every_line_fits_and_no_text_is_lost(rows: list[tuple[str, str, str, str]], width: int) -> None:
    lines = printed(COLUMNS, rows, width=width)
    body = lines[1:-1] if lines[-1].startswith("No room for") else lines[1:]
    assert all(cell_len(line) <= width for line in [lines[0], *body])
    assert all(line.isprintable() for line in lines)
    seen = "".join("".join(line.split()) for line in body)
    for row in rows:
        assert row[1] in seen
        shown = "".join(sign if sign.isprintable() else "�" for sign in row[0])
        assert all(seen.count(sign) >= shown.count(sign) for sign in set(shown) - {" "})
