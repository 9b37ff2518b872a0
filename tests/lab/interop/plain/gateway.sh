#!/bin/bash
# The plain peer's gateway, by docs/protocol.md (sections in brackets), with nothing but the kernel's tools:
#   gateway.sh block                                          before anything else
#   gateway.sh connect                                        once charon is started
#   gateway.sh tunnel                                         once charon has its connection
#   gateway.sh stretch NAME TUNNEL_ID ROLE GATEWAY ADDRESS MTU    a network and one machine on it, a network namespace
#   gateway.sh cut NAME                                       both are gone
set -euo pipefail
ours=203.0.113.11 theirs=192.0.2.11 port=14789

block() { # [6.5]
    ip xfrm policy add src 0/0 dst 0/0 proto udp dport $port dir out action block priority 900000
    ip xfrm policy add src 0/0 dst 0/0 proto udp dport $port dir in action block priority 900000
    ip xfrm policy add src 0/0 dst 0/0 proto udp sport $port dir out action block priority 900000
    ip xfrm policy add src 0/0 dst $theirs/32 proto icmp type 3 code 3 dir out action block priority 900000
}

connect() { # [6.1 to 6.4]
    until timeout 5 swanctl --load-all --file /run/plain/swanctl.conf; do sleep 0.2; done
}

tunnel() { # [10, 11] BFD's VNI; the first device opens the tunnel port
    vxlan vx-bfd 0
    ip link set vx-bfd up
}

stretch() { # [8, 9, 12]
    local name=$1 tunnel_id=$2 role=$3 gateway=$4 address=$5 mtu=$6
    vxlan "vx-$name" "$tunnel_id"
    guard "$name" "$role" "$gateway"
    ip link add "br-$name" type bridge
    ip netns add "$name"
    ip link add "$name" type veth peer name eth0 mtu "$mtu" netns "$name"
    for device in "br-$name" "vx-$name" "$name"; do
        sysctl -qw "net.ipv6.conf.$device.disable_ipv6=1"
        [ "$device" = "br-$name" ] || ip link set "$device" master "br-$name"
        ip link set "$device" up
    done
    ip -n "$name" address add "$address" dev eth0
    ip -n "$name" link set eth0 up
}

cut() {
    ip link delete "vx-$1"
    nft delete table netdev "guard-$1"
    ip netns delete "$1"
    ip link delete "br-$1"
}

vxlan() { # [10]
    ip link add "$1" type vxlan id "$2" local $ours remote $theirs dstport $port nolearning
    sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
}

guard() { # [12.2] The responder hears frames before the first chain does, and sends through the second.
    local only_origin="icmpv6 type nd-router-advert drop; arp saddr ip $3 drop"
    local both="
        ether type 8021q drop
        ether saddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop
        ether daddr & ff:ff:ff:ff:ff:00 == 01:80:c2:00:00:00 drop
        meta protocol ip udp dport { 67, 68 } drop
        meta protocol ip6 udp dport { 546, 547 } drop
        ip saddr 169.254.169.254 drop; ip daddr 169.254.169.254 drop
        arp saddr ip 169.254.169.254 drop; arp daddr ip 169.254.169.254 drop
        ip6 saddr fe80::a9fe:a9fe drop; ip6 daddr fe80::a9fe:a9fe drop
        icmpv6 type { 135, 136 } icmpv6 code 0 @th,64,128 0xfe8000000000000000000000a9fea9fe drop"
    nft -f - <<RULES
        table netdev guard-$1 {
            chain in {
                type filter hook ingress device "vx-$1" priority 0
                ether type 0x88b5 drop
                $both
                $([ "$2" = receiver ] || echo "$only_origin")
            }
            chain out {
                type filter hook egress device "vx-$1" priority 0
                ether type 0x88b5 ether saddr != { 02:69:73:74:68:02, 02:00:00:00:00:0c } drop
                $both
                $([ "$2" = origin ] || echo "$only_origin")
            }
        }
RULES
}

"$@"
