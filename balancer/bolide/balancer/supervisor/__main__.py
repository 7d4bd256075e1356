"""Run a balancer without the command: ``python -m bolide.balancer.supervisor balancer.toml``."""

import asyncio
import logging
import sys
from pathlib import Path

from bolide.balancer.settings.reading import read_settings
from bolide.balancer.supervisor.listeners import Listeners
from bolide.balancer.supervisor.run import run, use_own_openssl
from bolide.balancer.supervisor.supervisor import Supervisor
from bolide.core.errors import BolideError

__all__ = ["main"]


def main() -> int:
    """Run until the operator says stop; returns the exit status."""
    if len(sys.argv) != 2:
        print("usage: python -m bolide.balancer.supervisor FILE", file=sys.stderr)
        return 2
    file = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        use_own_openssl(read_settings(file))
        return asyncio.run(run(file, on_ready=_announce))
    except (BolideError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _announce(supervisor: Supervisor, listeners: Listeners) -> None:
    addresses = ", ".join(map(str, listeners.addresses))
    print(f"Balancer: {supervisor.pool.ready_count} workers at {addresses}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
