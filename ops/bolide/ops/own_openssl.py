"""Begin ``bolide run`` and ``bolide balance`` with an OpenSSL that negotiates what it should.

OpenSSL reads its configuration when a process begins, and Python's ``ssl`` cannot choose all of it
later. So the program is begun anew, in the same process, before anything is loaded.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import bolide.balancer.tls

__all__ = ["begin_with_own_openssl"]

_VARIABLE: Final = "OPENSSL_CONF"
_COMMANDS: Final = frozenset({"balance", "run"})
_FILE: Final = os.path.join(os.path.dirname(bolide.balancer.tls.__file__), "openssl.cnf")


def begin_with_own_openssl(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    execve: Callable[[str, list[str], Mapping[str, str]], object] = os.execve,
) -> None:
    """Begin the program anew, unless it is another command or has a configuration already.

    An operator who sets ``OPENSSL_CONF`` is obeyed; the node looks at what came of it.

    Args:
        words: Of the command line, without the program.
        environment: Of this process.
        execve: Puts another program in the place of this one.
    """
    if words[:1] and words[0] in _COMMANDS and not environment.get(_VARIABLE):
        command = [sys.executable, *sys.orig_argv[1:]]
        execve(sys.executable, command, {**environment, _VARIABLE: _FILE})
