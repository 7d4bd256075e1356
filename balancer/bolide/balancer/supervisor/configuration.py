"""What workers are told, made of the settings."""

import os

from bolide.balancer.settings.settings import BalancerSettings
from bolide.balancer.supervisor.listeners import Listeners
from bolide.balancer.worker.messages import Configure, NodeTLS

__all__ = ["configuration_of", "node_tls_of", "worker_count_of"]


def configuration_of(settings: BalancerSettings, listeners: Listeners) -> Configure:
    """Return how workers are to work."""
    return Configure(
        version=0,
        cluster=settings.cluster,
        listeners=listeners.kinds,
        trusted_senders=settings.proxied_from,
        certificates=settings.certificate,
        nodes=node_tls_of(settings),
        limits=settings.limits,
        policy=settings.policy,
        slow_start_s=settings.slow_start_s,
        access_log=settings.access_log,
        hsts_s=settings.hsts_s,
        cookie_max_age_s=settings.affinity.max_age_s,
        retry_after_s=settings.retry_after_s,
        https_port=settings.https_port or listeners.addresses[0].port,
    )


def node_tls_of(settings: BalancerSettings) -> NodeTLS:
    """Return how nodes are reached."""
    tls = settings.nodes.tls
    return NodeTLS(
        verify=settings.nodes.verify,
        ca=tls.ca,
        chain=tls.chain,
        key=tls.key,
        denied=settings.denied,
    )


def worker_count_of(settings: BalancerSettings) -> int:
    """Return how many workers there are to be."""
    return settings.workers or len(os.sched_getaffinity(0))
