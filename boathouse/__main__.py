"""`python -m boathouse`."""

from boathouse.cli import main

main()
