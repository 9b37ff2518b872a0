#!/bin/bash
# Prepares a node for containerd and a kubelet: private directories, cgroups, and what the kubelet wants of a kernel.
# The argument is the directory of configuration files for CNI.
set -e
# containerd's mounts have to reach the pods, and nothing outside of the node.
mount --make-rshared /
for directory in /var/log /var/lib/kubelet /var/lib/cni; do
    mkdir -p "$directory"
    mount -t tmpfs -o mode=755 tmpfs "$directory"
done
mkdir -p /run/kubelet
touch /run/resolv.conf
if [ -z "$(ls /sys/fs/cgroup)" ]; then
    mount -t cgroup2 none /sys/fs/cgroup
fi
# User Mode Linux has no clock speed, and the kubelet does not start without one.
if ! grep -q '^cpu MHz' /proc/cpuinfo; then
    { printf 'cpu MHz\t\t: 2000.000\n'; cat /proc/cpuinfo; } > /run/kubelet/cpuinfo
    mount --bind /run/kubelet/cpuinfo /proc/cpuinfo
fi
# Those of the kernel that the node shares with the machine stay as they are.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    file=/run/kubelet/${setting//\//-}
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
