"""``python -m bench``: see ``scripts/bench``."""

from bench.cli import main

if __name__ == "__main__":
    main()
