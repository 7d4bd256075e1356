"""``bolide ca``: the private authority of a cluster."""
