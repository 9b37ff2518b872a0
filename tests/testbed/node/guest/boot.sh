#!/bin/bash
# First process of a gateway node, in a User Mode Linux guest and in plain namespaces alike: private run-time file
# systems, names and addresses of the two network cards, then the exec server. NODE_ENVIRONMENT names its settings.
export HOME=/run PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set -e
mount -n -t proc proc /proc
source "$NODE_ENVIRONMENT"
if [ "$NODE_KIND" = guest ]; then
    mount -t sysfs sysfs /sys
    mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
    mkdir -p /dev/pts /dev/shm
    for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
        [ -e "/dev/${link%%:*}" ] || ln -s "${link#*:}" "/dev/${link%%:*}"
    done
    mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
    ip link set vec0 name eth0
    ip link set vec1 name wan0
    # Else every new namespace is born with tunl0, gre0, ip_vti0..., which Neutron's agents try to delete.
    sysctl -qw net.core.fb_tunnels_only_for_init_net=2
fi
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /run/openvswitch /run/ovn
hostname "$NODE_NAME"
# The node knows its own name, and asks nobody else's name server for it: Neutron's agent would wait for an answer.
printf '127.0.0.1 localhost\n%s %s\n' "${NODE_MANAGEMENT_ADDRESS%/*}" "$NODE_NAME" > /run/hosts
: > /run/resolv.conf
for file in hosts resolv.conf; do
    if [ -e "/etc/$file" ]; then mount --bind "/run/$file" "/etc/$file"; fi
done
ip -batch - <<LINKS
link set lo up
addr add $NODE_MANAGEMENT_ADDRESS dev eth0
link set eth0 up
addr add $NODE_WAN_ADDRESS dev wan0
link set wan0 up mtu 1500
route add default via $NODE_WAN_ROUTER
LINKS
cd /
exec /usr/bin/python3 -IS "$NODE_EXEC_SERVER" "$NODE_EXEC_ADDRESS" "$NODE_EXEC_PORT"
