"""Processes and network namespaces of the machine that the testbed runs on."""
