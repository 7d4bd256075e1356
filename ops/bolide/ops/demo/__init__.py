"""``bolide demo``: the ward example on this machine."""
