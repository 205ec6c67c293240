"""The only room that touches a database."""
