"""``python -m flawsmith``: the same as the ``flawsmith`` command."""

from flawsmith.cli import main

if __name__ == "__main__":
    main()
