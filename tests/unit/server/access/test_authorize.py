"""The decision: denied until somebody else decides."""

from bolide.server.access.authorize import AccessRequest, deny


def test_everything_is_denied_by_default() -> None:
    assert deny(AccessRequest("nurse", "ward:read", "ward/7")) is False
    assert deny(AccessRequest(None, "ward:read")) is False
