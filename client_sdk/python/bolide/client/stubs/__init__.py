"""Methods as a client simulates them before the server has answered."""
