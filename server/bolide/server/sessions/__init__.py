"""DDP sessions: the state machine, the merge box and what drives them."""
