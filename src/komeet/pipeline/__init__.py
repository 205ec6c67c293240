"""The one way of a call: stages in order, and the run that leads through them."""
