#!/usr/bin/env bash
# Reserves hugepages for DPDK and says what it does. Never fails: without them Ironlane runs in
# DPDK's mode without hugepages (virtual devices only, slower).
#
#   scripts/hugepages.sh [MIB]     default 512
set -u
MIB=${1:-512}
PAGES=$(((MIB + 1) / 2))
NODE=/sys/kernel/mm/hugepages/hugepages-2048kB

no_hugepages() {
    echo "hugepages: $1; going on without them"
    exit 0
}

[ -d $NODE ] || no_hugepages 'this kernel has no 2 MiB hugepages'
free=$(cat $NODE/free_hugepages)
if [ "$free" -ge $PAGES ]; then
    echo "hugepages: $free of 2 MiB are free, enough"
    exit 0
fi
[ -w $NODE/nr_hugepages ] || no_hugepages 'only root can reserve them'
want=$(($(cat $NODE/nr_hugepages) + PAGES - free))
echo "hugepages: $free of 2 MiB are free; reserving until $PAGES are ($NODE/nr_hugepages = $want)"
echo $want >$NODE/nr_hugepages 2>/dev/null
free=$(cat $NODE/free_hugepages)
[ "$free" -ge $PAGES ] || no_hugepages "the kernel found memory for $free only"
