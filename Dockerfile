# Ironlane: daemon, command line and demo on Debian 12.
#
#   docker build -t ironlane .
#
# The daemon on the host's NICs, with hugepages reserved on the host (scripts/hugepages.sh):
#   docker run --rm --privileged --network host -v /dev/hugepages:/dev/hugepages \
#       -v /run/ironlane:/run/ironlane -v /etc/ironlane:/etc/ironlane:ro ironlane
# The command line of that daemon:
#   docker run --rm -v /run/ironlane:/run/ironlane ironlane ironlane port show
# The demo: virtual routers with FRR inside the container (hugepages as above):
#   docker build --target demo -t ironlane-demo . && docker run --rm --privileged ironlane-demo

FROM debian:bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends \
        ca-certificates clang libclang-dev gcc libc6-dev make pkg-config \
        libdpdk-dev protobuf-compiler rustc-web cargo-web \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p ironlane-control --bin ironlane

# What runs: the program, the DPDK libraries with their drivers, nothing to compile with.
FROM debian:bookworm AS run
# librte-meta-all has the drivers, which DPDK loads when it starts; the package dpdk has only tools.
RUN apt-get update && apt-get install --yes --no-install-recommends \
        librte-meta-all iproute2 iputils-ping pciutils \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/ironlane /usr/local/bin/ironlane
COPY configs /usr/share/ironlane/configs
RUN mkdir -p /etc/bash_completion.d \
    && ironlane completion bash > /etc/bash_completion.d/ironlane \
    && ironlane config check /usr/share/ironlane/configs/*/ironlane.toml
CMD ["ironlane", "run", "--config", "/etc/ironlane/ironlane.toml"]

# The demo brings FRR, iperf3 and its scripts.
FROM run AS demo
RUN apt-get update && apt-get install --yes --no-install-recommends \
        frr frr-pythontools iperf3 make procps python3 tcpdump traceroute ethtool jq \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY scripts scripts
COPY configs configs
COPY --from=build /src/target/release/ironlane target/release/ironlane
ENV PROTOCOL=all
CMD ["scripts/demo/run.sh"]

# `docker build` without --target makes the daemon's image.
FROM run
