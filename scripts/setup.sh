#!/usr/bin/env bash
# Installs what building, testing and showing Ironlane needs. Debian 12; does nothing, quickly,
# when all is there.
#
#   scripts/setup.sh            install what is missing (as root)
#   scripts/setup.sh --check    say what is missing, install nothing; exit status 1 if anything is
set -u
BUILD="ca-certificates libdpdk-dev libipsec-mb-dev dpdk libclang-dev pkg-config gcc libc6-dev make protobuf-compiler xz-utils dpkg-dev bzip2"
RUN="frr iproute2 iputils-ping traceroute iperf3 tcpdump ethtool nftables openssl python3 python3-scapy
  python3-cryptography procps jq valgrind
  strongswan-charon strongswan-swanctl libstrongswan-standard-plugins libstrongswan-extra-plugins
  libcharon-extra-plugins libcharon-extauth-plugins"
RUST_MINOR=89 # as rust-version in Cargo.toml

CHECK=
[ "${1:-}" = --check ] && CHECK=1
export PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin

installed() { [ "$(dpkg-query -Wf '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]; }

missing_packages() {
    local package
    # shellcheck disable=SC2086
    for package in $BUILD $RUN; do installed "$package" || echo "$package"; done
}

# "ok", or what is wrong.
cargo_state() {
    local version minor tool
    version=$(cd / && cargo --version 2>/dev/null) || { echo 'no cargo'; return; }
    minor=$(echo "$version" | sed -nE 's/^cargo 1\.([0-9]+)\..*/\1/p')
    if [ "${minor:-0}" -lt $RUST_MINOR ]; then
        echo "${version:-an unknown cargo} is older than 1.$RUST_MINOR"
        return
    fi
    for tool in fmt clippy; do
        (cd / && cargo $tool --version) >/dev/null 2>&1 || { echo "cargo has no $tool"; return; }
    done
    echo ok
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null
}

explain_no_rust() {
    cat >&2 <<HELP
setup: apt-get could not install rustc-web, cargo-web, rustfmt-web and rust-web-clippy. Debian 12 has them
  in bookworm and its security archive: look at apt-get's own words above, and into /etc/apt/sources.list.
  Or bring cargo and rustc 1.$RUST_MINOR or newer by other means, with rustfmt and clippy: https://rustup.rs
HELP
    exit 1
}

explain_other_system() {
    cat >&2 <<HELP
setup: this is not Debian 12 (no apt-get, or other package names). Install by its own means:
  DPDK 22.11 or newer with headers and pkg-config file, clang's library (libclang), a C compiler,
  make, protoc, FRR, strongSwan, iproute2, iputils, traceroute, iperf3, tcpdump, ethtool, nftables, openssl,
  python3 with scapy and cryptography, jq, valgrind;
  and cargo and rustc 1.$RUST_MINOR or newer, from https://rustup.rs or the distribution.
HELP
    exit 1
}

missing=$(missing_packages)
cargo=$(cargo_state)
if [ -z "$missing" ] && [ "$cargo" = ok ]; then
    echo "setup: all is there"
    exit 0
fi
[ -z "$missing" ] || echo "setup: missing packages:" $missing
[ "$cargo" = ok ] || echo "setup: $cargo"
[ -z "$CHECK" ] || exit 1

command -v apt-get >/dev/null || explain_other_system
if [ "$(id -u)" != 0 ]; then
    echo "setup: run it as root: sudo scripts/setup.sh" >&2
    exit 1
fi
apt update || echo "setup: the package lists could not all be renewed; going on with those that are here"
if [ -n "$missing" ]; then
    # Debian's FRR and strongSwan start themselves on install. Demo and tests run sets of their own in
    # namespaces; a machine that had none before keeps having none.
    had_frr=$(installed frr && echo yes)
    had_strongswan=$(installed strongswan-starter && echo yes)
    # shellcheck disable=SC2086
    apt install --no-install-recommends -y $missing || {
        echo "setup: apt-get could not install all of:" $missing >&2
        exit 1
    }
    if [ -z "$had_frr" ] && command -v systemctl >/dev/null && systemctl is-active -q frr 2>/dev/null; then
        systemctl disable -q --now frr
        echo 'setup: frr.service disabled (the demo starts its own daemons)'
    fi
    if [ -z "$had_strongswan" ] && command -v systemctl >/dev/null &&
        systemctl is-enabled -q strongswan-starter 2>/dev/null; then
        systemctl disable -q --now strongswan-starter
        echo 'setup: strongswan-starter.service disabled (tests start their own charon)'
    fi
fi
if [ "$cargo" != ok ]; then
    if [[ $cargo == 'cargo has no'* ]] && command -v rustup >/dev/null; then
        rustup component add rustfmt clippy
    else
        echo 'setup: installing the newer Rust of Debian 12 (rustc-web, cargo-web, rustfmt-web, rust-web-clippy)'
        apt install --no-install-recommends -y rustc-web cargo-web rustfmt-web rust-web-clippy || explain_no_rust
    fi
    hash -r
    cargo=$(cargo_state)
    if [ "$cargo" != ok ]; then
        echo "setup: $cargo even so, at $(command -v cargo); bring that up to date (rustup update)," \
            "or take it out of PATH" >&2
        exit 1
    fi
fi
echo 'setup: done'
