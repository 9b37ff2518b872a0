"""An agent's inputs from the Kubernetes API, and its reports to it."""

from .intents import STREAMED, WATCHED, KubernetesIntents
from .reports import KubernetesReports
from .watches import Watches

__all__ = ["STREAMED", "WATCHED", "KubernetesIntents", "KubernetesReports", "Watches"]
