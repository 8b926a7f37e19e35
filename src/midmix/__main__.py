"""`python -m midmix`: the command line."""

from midmix.cli import main

main()
