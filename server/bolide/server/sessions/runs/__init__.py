"""The runs: what a session's methods and publish functions do, one task for each."""
