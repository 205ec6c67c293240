"""`komeet ledger`: looks into the books, and the ways out of what they cannot settle by themselves."""

from komeet.cli import ledger_books, ledger_entries
from komeet.cli.options import new_program

program = new_program("Look into the books, and enter what they cannot know.")
program.add_typer(ledger_books.program)
program.add_typer(ledger_entries.program)
