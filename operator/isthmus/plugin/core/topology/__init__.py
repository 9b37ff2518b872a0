"""`kubectl isthmus topology`: this cloud, its peers, and the connections and networks to each, by objects alone."""

from .answer import topology
from .page import Observation, envelope, observation, selection

__all__ = ["Observation", "envelope", "observation", "selection", "topology"]
