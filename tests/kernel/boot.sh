#!/bin/bash
# First process of the kernel tier, in a User Mode Linux guest or in namespaces of the host: mounts private run-time file
# systems, then runs the command in KERNEL_TIER's file `command`. The guest's serial line is a pipe of the host.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -n -t proc proc /proc
if [ -n "$KERNEL_TIER_GUEST" ]; then
    mount -t sysfs sysfs /sys
    mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
    mkdir -p /dev/pts /dev/shm
    for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
        [ -e "/dev/${link%%:*}" ] || ln -s "${link#*:}" "/dev/${link%%:*}"
    done
    mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
    stty -F /dev/ttyS0 raw -echo
    exec >/dev/ttyS0 2>&1
    # Otherwise every namespace is created with tunl0, gre0, ip_vti0...
    sysctl -qw net.core.fb_tunnels_only_for_init_net=2
fi
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /run/openvswitch
ip link set lo up
bash "$KERNEL_TIER/command" </dev/null
status=$?
[ -n "$KERNEL_TIER_GUEST" ] || exit $status
echo $status >"$KERNEL_TIER/status"
# The line must be empty before the power goes.
/usr/bin/python3 -IS -c 'import termios; termios.tcdrain(1)'
sync
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
