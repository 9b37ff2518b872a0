#!/bin/sh
# What udhcpc runs with a lease: applies it, the interface's MTU included (option 26), and prints it for the tester.
[ "$1" = bound ] || exit 0
ip address flush dev "$interface" scope global
ip address add "$ip/${mask:-32}" dev "$interface"
[ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
for gateway in $router; do
    ip route replace default via "$gateway"
    break
done
echo "LEASE address=$ip prefix=$mask mtu=$mtu router=$router"
