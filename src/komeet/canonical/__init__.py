"""The neutral model of a call. Frozen structs; no I/O, no format's own words."""
