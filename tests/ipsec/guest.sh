#!/bin/bash
# In the emulated machine: a gateway (this namespace, NIC pf0) and behind it a host (namespace "site"), a
# charon beside the kernel's own ESP and AH, and an answerer in both namespaces. Run once, in /host.
set -eu
modprobe -a esp4 esp6 ah4 ah6 xfrm_user xfrm4_tunnel xfrm6_tunnel
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0 \
    net.ipv6.conf.pf0.disable_ipv6=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
    net.ipv4.conf.all.promote_secondaries=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
ip link set pf0 up
ip addr add 10.9.0.2/24 dev pf0
ip addr add 2001:db8:9::2/64 dev pf0 nodad
ip netns add site
ip link add in0 type veth peer name eth0 netns site
ip addr add 10.4.0.1/24 dev in0
ip addr add 2001:db8:4::1/64 dev in0 nodad
ip link set in0 up
ip -n site link set lo up
ip -n site addr add 10.4.0.2/24 dev eth0
ip -n site addr add 2001:db8:4::2/64 dev eth0 nodad
ip -n site link set eth0 up
# What the hosts send fits into a tunnel; what is longer they fragment themselves.
ip -n site route add default via 10.4.0.1 mtu 1340
ip -n site -6 route add default via 2001:db8:4::1 mtu 1340
ip route add default via 10.9.0.1
ip -6 route add default via 2001:db8:9::1
python3 /host/echo.py serve 7 >/run/echo.log 2>&1 &
ip netns exec site python3 /host/echo.py serve 7 >/run/echo-site.log 2>&1 &
STRONGSWAN_CONF=/host/strongswan.conf /usr/lib/ipsec/charon >/run/charon.out 2>&1 &
for ((n = 0; n < 100; n++)); do
    [ -S /run/vici ] && exit 0
    sleep 0.1
done
cat /run/charon.out
exit 1
