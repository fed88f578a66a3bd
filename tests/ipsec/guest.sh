#!/bin/bash
# In the emulated machine: a gateway (this namespace, NIC pf0) and behind it a host (namespace "site"), a
# charon or a pluto beside the kernel's own ESP and AH, and an answerer in both namespaces. Run once, in /host.
#
#   guest.sh strongswan|libreswan
set -eu
modprobe -a xfrm_interface esp4 esp6 ah4 ah6 xfrm_user xfrm4_tunnel xfrm6_tunnel
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
# FRR's user and groups, which the packages' installation scripts would have made.
if ! grep -q '^frr:' /etc/passwd; then
    echo 'frr:x:110:110::/nonexistent:/bin/false' >>/etc/passwd
    printf 'frr:x:110:\nfrrvty:x:111:frr\n' >>/etc/group
fi
mkdir -p /var/run/frr /var/tmp/frr
case $1 in
strongswan)
    STRONGSWAN_CONF=/host/strongswan.conf /usr/lib/ipsec/charon >/run/charon.out 2>&1 &
    socket=/run/vici
    ;;
libreswan)
    db=sql:/var/lib/ipsec/nss
    mkdir -p /run/pluto /var/lib/ipsec/nss
    : >/etc/resolv.conf
    ipsec initnss --nssdir /var/lib/ipsec/nss
    certutil -A -d $db -n ca -t CT,, -i /host/swanctl/x509ca/ca.pem
    for p12 in /host/*.p12; do pk12util -i "$p12" -d $db -W x -K ''; done
    /usr/libexec/ipsec/pluto --config /host/ipsec.conf --secretsfile /host/ipsec.secrets --nssdir /var/lib/ipsec/nss
    socket=/run/pluto/pluto.ctl
    ;;
esac
for ((n = 0; n < 600; n++)); do
    [ -S $socket ] && exit 0
    sleep 0.1
done
cat /run/charon.out /run/pluto.log
exit 1
