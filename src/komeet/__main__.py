"""`python -m komeet` is `komeet`."""

from komeet.cli import main

main()
