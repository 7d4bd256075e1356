import ssl
import sys
from collections.abc import Mapping

import pytest

from bolide.balancer.tls.openssl_configuration import FILE
from bolide.ops.own_openssl import begin_with_own_openssl


class Began:
    """What was put in the place of this process."""

    def __init__(self) -> None:
        self.programs: list[tuple[str, list[str], Mapping[str, str]]] = []

    def __call__(self, program: str, command: list[str], environment: Mapping[str, str]) -> None:
        self.programs.append((program, command, environment))


def test_a_node_begins_anew_as_it_was_called_with_our_configuration() -> None:
    began = Began()
    begin_with_own_openssl(["run", "ward.app:app"], {"HOME": "/"}, execve=began)
    [(program, command, environment)] = began.programs
    assert program == command[0] == sys.executable
    assert command[1:] == sys.orig_argv[1:]
    assert environment == {"HOME": "/", "OPENSSL_CONF": str(FILE)}


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["run", "ward.app:app"], {"OPENSSL_CONF": "/etc/ssl/ours.cnf"}),
        (["watch", "https://ward.example.org"], {}),
        ([], {}),
    ],
)
def test_whoever_began_rightly_goes_on(words: list[str], environment: dict[str, str]) -> None:
    began = Began()
    begin_with_own_openssl(words, environment, execve=began)
    assert began.programs == []


def test_the_file_is_one_that_openssl_has_groups_for() -> None:
    assert "Groups = P-256:P-384" in FILE.read_text()
    assert ssl.OPENSSL_VERSION_INFO >= (3,)
