"""Authorisation: who may do what, decided before anything is read, written or sent."""
