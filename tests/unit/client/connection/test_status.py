"""Connection states."""

from bolide.client.connection.status import ConnectionState


def test_only_closed_and_failed_are_final() -> None:
    final = {state for state in ConnectionState if state.is_final}
    assert final == {ConnectionState.CLOSED, ConnectionState.FAILED}
