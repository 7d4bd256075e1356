"""What may be repeated of a URL that an operator typed."""

from urllib.parse import urlsplit

__all__ = ["HIDDEN", "shown_as_typed"]

HIDDEN = "(hidden)"
_MARKS_OF_SECRETS = frozenset("@?=#")


def shown_as_typed(url: object) -> object:
    """Return a URL as it was typed if nothing in it can be a secret, otherwise ``(hidden)``.

    A user with a password stands before an ``@``, a token in the query or after an ``=``, and
    what was meant as a password may stand where a port does.

    Args:
        url: What was given; all but a text is hidden.
    """
    if not isinstance(url, str) or not _MARKS_OF_SECRETS.isdisjoint(url):
        return HIDDEN
    try:
        urlsplit(url).port  # noqa: B018 - raises where a port cannot be one
    except ValueError:
        return HIDDEN
    return url
