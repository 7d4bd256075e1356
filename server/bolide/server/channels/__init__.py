"""Channels: messages to whoever listens now, which nobody keeps."""
