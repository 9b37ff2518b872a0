"""An agent's inputs from the Kubernetes API, and its reports to it."""

from .intents import STREAMED, WATCHED, KubernetesIntents
from .reports import KubernetesReports

__all__ = ["STREAMED", "WATCHED", "KubernetesIntents", "KubernetesReports"]
