"""``bolide up``: a balancer and several nodes on one machine."""
