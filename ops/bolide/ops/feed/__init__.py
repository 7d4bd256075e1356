"""``bolide feed``: tell the nodes what other programs wrote."""
