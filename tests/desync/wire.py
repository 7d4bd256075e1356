"""How bytes are written in the tables of this folder."""

__all__ = ["on_the_wire"]


def on_the_wire(text: str) -> bytes:
    """Return the bytes: a line break is CR LF, ``␊`` is a LF of its own, ``␍`` a CR of its own."""
    return text.replace("\n", "\r\n").replace("␊", "\n").replace("␍", "\r").encode("latin-1")
