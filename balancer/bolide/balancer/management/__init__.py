"""What operators and their programs ask a balancer, over a Unix socket."""
