"""Accounts, holds and their outcomes: the reservation state machine, and the port to whatever keeps it."""
