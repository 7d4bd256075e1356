"""What measuring takes: the servers, the load on them, a processor for each."""
