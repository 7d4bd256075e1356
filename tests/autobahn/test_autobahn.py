"""Autobahn's fuzzing client finds nothing wrong with the WebSocket class.

Cases 12 and 13 are about compression, which is never agreed on. A push says nothing of the content
of binary messages, so the cases that want it back are left to ASGI.
"""

import pytest
from tests.autobahn.conftest import Autobahn, serving

COMPRESSION = ("12.*", "13.*")
BINARY = ("1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*")
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.mark.parametrize(
    ("how", "left_out", "count"),
    [("asgi", COMPRESSION, 301), ("push", (*COMPRESSION, *BINARY), 266)],
)
def test_every_case_is_passed(
    autobahn: Autobahn, how: str, left_out: tuple[str, ...], count: int
) -> None:
    with serving(how) as port:
        cases = autobahn.report(port, left_out)
    bad = {
        name: (case["behavior"], case["behaviorClose"])
        for name, case in cases.items()
        if not {case["behavior"], case["behaviorClose"]} <= GOOD
    }
    assert bad == {}
    assert len(cases) == count
