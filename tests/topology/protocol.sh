# The demo's network with one protocol, asserted step by step. Sourced after lib.sh.

# protocol_topology ospf|isis|bgp
protocol_topology() {
    SECTION=$1
    load_protocol "$1"
    MEMORY_MIB=256
    run 'namespaces' make_namespaces
    run 'Ironlane with four ports' box_ironlane_up
    run 'FRR in five namespaces' frr_start_all
    WAIT=60 wait_for 'everybody knows every loopback, both families' converged
    run 'all neighbours over the taps are up' neighbours_up
    wait_for 'every learnt route is in the fast path' fast_path_complete
    wait_for 'kernel and fast path agree' verified
    run 'ping between all loopbacks' ping_all
    run 'traceroute between all loopbacks' traceroute_all
    IPERF_SECONDS=2
    run 'TCP by IPv4 goes past the kernel' iperf_past_the_kernel 4
    run 'TCP by IPv6 goes past the kernel' iperf_past_the_kernel 6
    local way
    for way in carrier admin silent; do
        run "link of vrouter0 lost ($way): rerouted" link_lost "$way"
        run 'link back: traffic by the box again' link_back "$way"
    done
    wait_for 'kernel and fast path agree at the end' verified
    ok 'every packet is accounted for' identity_holds
}
