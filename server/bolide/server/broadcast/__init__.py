"""Messages from node to node that nobody keeps: for channels and presence."""
