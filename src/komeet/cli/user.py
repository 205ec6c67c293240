"""`komeet user`."""

from komeet.cli.people import people_program
from komeet.store.people import Group

program = people_program(Group.USER)
