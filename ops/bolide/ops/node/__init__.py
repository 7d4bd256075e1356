"""``bolide run``: one app's node in this process."""
