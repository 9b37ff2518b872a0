"""The kernel tier: real Open vSwitch, ESP and strongSwan, two nodes as network namespaces of one kernel.

`python -m tests.kernel [PYTEST ARGUMENTS]` runs pytest on a suitable kernel: on the host in namespaces of its own, or
as a process of one User Mode Linux guest.
"""
