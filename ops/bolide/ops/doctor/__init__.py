"""``bolide doctor``: how a node would run here."""
