"""DPDK's ipsec-secgw on the rig of the scene, and the limit that DPDK's own measure of its crypto driver gives."""
import os
import shutil
import statistics
import time

import peers
import rig

BINARY = os.path.join(peers.PEERS, "ipsec-secgw", "build", "ipsec-secgw")
DEVICE = os.environ.get("CRYPTO_VDEV", "crypto_aesni_mb0")


def started(way, config, source, sink, frames, log):
    """(process, its telemetry, its folder). Port 0 receives, port 1 sends."""
    prefix = f"ironlane-secgw-{os.getpid()}"
    # Where the ports are that carry what is protected.
    unprotected = {"in": "1", "out": "2"}[way]
    child = peers.start([
        BINARY, "-l", rig.WORKER, "--no-pci", "--in-memory", f"--file-prefix={prefix}", f"--vdev={source}", f"--vdev={sink}",
        f"--vdev={DEVICE}", "--", "-p", "3", "-P", "-u", unprotected, "-l", "-s", str(frames + 24 * 1024),
        f"--config=(0,0,{rig.WORKER}),(1,0,{rig.WORKER})", "-f", config, "--mtu", "1700"], log)
    folder = f"/var/run/dpdk/{prefix}"
    try:
        return child, peers.Telemetry(os.path.join(folder, "dpdk_telemetry.v2"), child, [0], [1]), folder
    except rig.Failed:
        over(child, folder)
        raise


def over(child, folder):
    peers.end(child)
    shutil.rmtree(folder, ignore_errors=True)


def measure(way, pcap, config, frames, seconds):
    """One reading."""
    log_path = os.path.join(rig.WORK, "ipsec-secgw.log")
    with open(log_path, "w") as log:
        try:
            child, counters, folder = started(way, config, f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "net_null1,no-rx=1", frames, log)
            try:
                return peers.measured(counters, child.pid, child, seconds, 0.001, patience=60)
            finally:
                over(child, folder)
        except rig.Failed as error:
            raise rig.Failed(f"{error} ({log_path})")


def forwarded_once(way, pcap, config, frames, out):
    """Plays the file once; what it sends is in `out`."""
    with open(os.path.join(rig.WORK, "ipsec-secgw-once.log"), "w") as log:
        child, counters, folder = started(way, config, f"net_pcap0,rx_pcap={pcap}", f"net_pcap1,tx_pcap={out}", frames, log)
        try:
            until = time.monotonic() + 20
            while counters.reading()[3] < frames and time.monotonic() < until and child.poll() is None:
                time.sleep(0.1)
            time.sleep(0.2)
        finally:
            over(child, folder)


def crypto_limit(way, text_bytes, seconds):
    """Rows of packets a second by bytes of text, one after the other, of one session."""
    rows = {}
    for size in text_bytes:
        ticks, rates = [], []
        # About as long as the other readings: a packet of 64 bytes takes some 50 ns.
        total = int(seconds / (50e-9 + size * 0.05e-9)) // 32 * 32
        out = rig.run(
            "dpdk-test-crypto-perf", "-l", f"{rig.MAIN},{rig.WORKER}", "--main-lcore", rig.MAIN, "--no-pci", "--in-memory",
            f"--vdev={DEVICE}", "--", "--ptest", "throughput", "--devtype", DEVICE.rstrip("0123456789"), "--optype", "aead",
            "--aead-algo", "aes-gcm", "--aead-op", {"in": "decrypt", "out": "encrypt"}[way], "--aead-key-sz", "16", "--aead-iv-sz", "12",
            "--aead-aad-sz", "8", "--digest-sz", "16", "--burst-sz", "32", "--buffer-sz", str(size), "--pool-sz", "4096",
            "--total-ops", str(total), "--silent", "--csv-friendly")
        for line in out.splitlines():
            words = line.replace(";", ",").split(",")
            if len(words) >= 10 and words[0].strip().isdigit():
                rates.append(float(words[7]))
                ticks.append(float(words[9]))
        if not rates:
            raise rig.Failed("dpdk-test-crypto-perf told no figures")
        rows[size] = {"mpps": statistics.median(rates), "cycles": statistics.median(ticks)}
    return rows
