#!/bin/sh
# What udhcpc runs with a lease: applies it, the interface's MTU included (option 26), and prints it for the tester.
[ "$1" = bound ] || exit 0
ip address flush dev "$interface" scope global
ip address add "$ip/${mask:-32}" dev "$interface"
[ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
# With routes (option 121) the router counts for nothing (RFC 3442): they contain it.
set -- ${staticroutes:-${router:+0.0.0.0/0 ${router%% *}}}
while [ $# -gt 1 ]; do
    case $2 in
        0.0.0.0) ip route replace "$1" dev "$interface" ;;
        *) ip route replace "$1" via "$2" dev "$interface" ;;
    esac
    shift 2
done
echo "LEASE address=$ip prefix=$mask mtu=$mtu routes=$(echo $staticroutes | tr ' ' ,) router=$router"
