"""Ids, money, clock, errors, secrets and the values of an HTTP exchange: what every room may know."""
