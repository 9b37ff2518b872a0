#!/bin/bash
# First process of a node on the host's kernel, in mount, PID, UTS and IPC namespaces of its own and in the network
# namespace of its cloud: private run-time file systems, then the exec server. Its arguments are the node's name, and
# the server, its address and its port.
export HOME=/run PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set -e
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
hostname "$1"
cd /
exec /usr/bin/python3 -IS "$2" "$3" "$4"
