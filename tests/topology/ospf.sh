#!/usr/bin/env bash
# vrouter0 ----- p0 +----------+ p2 ----- vrouter2
#    |  direct      | ironlane |
# vrouter1 ----- p1 +----------+ p3 ----- vrouter3      each with FRR
#
# OSPFv2 and OSPFv3 over the taps brings every loopback to everybody, in both families; traffic between
# them passes the lcores alone; vrouter0's link dies in three ways and traffic comes round by vrouter1.
. "$(dirname "$0")/lib.sh"
. "$TOPOLOGY/protocol.sh"
protocol_topology ospf
