"""The lab for contracts that need real clouds: the same one that tests/lab uses."""

from tests.lab.conftest import lab

__all__ = ["lab"]
