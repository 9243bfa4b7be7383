"""`python -m sert` is the command line."""

from sert.cli import main

main()
