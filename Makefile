# make help    tells what there is.

TOPOLOGY ?= routers
PROTOCOL ?= all
DEVICE   ?= net_tap
KEEP     ?= 0
PREFIX   ?= /usr/local
CARGO    ?= cargo
# With DPDK=sid the bench is built and run in a chroot of that Debian, with its DPDK.
WITHIN = $(if $(DPDK),perf/within.sh $(DPDK))
BENCH_PARTS = forward|ipsec|sas|latency|idle|scale|lookup|routes
# rustup's cargo, for shells that do not have it in PATH; a system's own comes first.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin

.PHONY: help build demo demo-clean test test-ipsec bench lint fmt clean install plugins install-plugins

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make bench takes QUICK=1, BENCH=$(BENCH_PARTS) (commas between several), GROUT=1, DPDK=sid'
	@echo '  make demo takes PROTOCOL=ospf|isis|bgp|all, KEEP=1 (leave it running), DEVICE=net_tap|af_packet|af_xdp'
	@echo '  make demo TOPOLOGY=ipsec shows two sites with strongSwan instead; it takes KEEP=1'

build: ## Install what is missing, build the daemon and CLI
	scripts/setup.sh
	$(CARGO) build --release -p ironlane-control

demo: ## Virtual routers speak OSPF, IS-IS and BGP with Ironlane; or two sites with strongSwan (root)
	scripts/setup.sh
	scripts/hugepages.sh
	$(CARGO) build --release -p ironlane-control
	TOPOLOGY=$(TOPOLOGY) PROTOCOL=$(PROTOCOL) DEVICE=$(DEVICE) KEEP=$(KEEP) scripts/demo/run.sh

demo-clean: ## End a demo left running by KEEP=1
	scripts/demo/run.sh clean

test: ## Install what is missing, build, run every check and test (root)
	scripts/setup.sh
	tests/run.sh

test-ipsec: ## IPsec against Linux's own, in an emulated machine; writes docs/ipsec-interop.md (root)
	scripts/setup.sh
	$(CARGO) build --locked -p ironlane-control
	tests/ipsec/xfrm.sh
	tests/ipsec/linux.sh

bench: ## Measure Ironlane beside testpmd, l3fwd, ipsec-secgw and grout on this machine (root)
	scripts/setup.sh
	scripts/hugepages.sh 2048
	$(WITHIN) $(CARGO) build --release --locked -p ironlane-control -p ironlane-perf --features ironlane-perf/baselines
	$(WITHIN) python3 perf/bench --part '$(BENCH)' $(if $(QUICK),--quick) $(if $(GROUT),--grout) $(BENCH_ARGS)

lint: ## rustfmt, clippy and licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	python3 scripts/licences.py

fmt: ## Format all Rust code
	$(CARGO) fmt --all

install: build ## Install program and systemd unit under PREFIX (/usr/local)
	install -D -m 755 target/release/ironlane $(DESTDIR)$(PREFIX)/bin/ironlane
	install -D -m 644 configs/systemd/ironlane.service $(DESTDIR)/etc/systemd/system/ironlane.service
	sed -i 's|/usr/local/bin|$(PREFIX)/bin|g' $(DESTDIR)/etc/systemd/system/ironlane.service

plugins: ## Build the plugin for the installed strongSwan (GPL, plugins/charon)
	plugins/charon/build.sh target/plugins/charon

install-plugins: plugins ## Install it for charon (root)
	install -D -m 644 target/plugins/charon/libstrongswan-kernel-ironlane.so \
		$(DESTDIR)/usr/lib/ipsec/plugins/libstrongswan-kernel-ironlane.so
	[ -e $(DESTDIR)/etc/strongswan.d/charon/kernel-ironlane.conf ] || install -D -m 644 \
		plugins/charon/kernel-ironlane.conf $(DESTDIR)/etc/strongswan.d/charon/kernel-ironlane.conf

clean: ## Remove what was built
	$(CARGO) clean
