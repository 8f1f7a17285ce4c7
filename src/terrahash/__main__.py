"""``python -m terrahash``."""

from terrahash.cli import main

main()
