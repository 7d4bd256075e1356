"""Scheduled jobs: each run on one node of the cluster, under a lease in the store."""
