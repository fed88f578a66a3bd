"""The goals, and whether the figures reach them. What a part measures has its function here; a goal without a figure is
shown, with the reason."""


class Goal:
    """`value`: None if there is none; `why` then says why."""

    def __init__(self, part, words, value, bound, at_most=False, unit="", why=""):
        self.part, self.words, self.value, self.why = part, words, value, why
        self.bound, self.at_most, self.unit = bound, at_most, unit

    @property
    def verdict(self):
        if self.value is None:
            return f"not measured ({self.why})" if self.why else "not measured"
        reached = self.value <= self.bound if self.at_most else self.value >= self.bound
        return "reached" if reached else "not reached"

    def row(self):
        sign = "at most" if self.at_most else "at least"
        value = "-" if self.value is None else f"{self.value:,.2f}{self.unit}"
        return [self.words, f"{sign} {self.bound:,g}{self.unit}", value, self.verdict]

    def plain(self):
        return {"part": self.part, "goal": self.words, "bound": self.bound, "at_most": self.at_most,
                "value": self.value, "verdict": self.verdict}


def forward(lines):
    def of(scene, peer=None, who="ironlane"):
        line = next((l for l in lines if l["scene"] == scene and l["who"] == who and "error" not in l), None)
        return line and (line["to"].get(peer) if peer else line["above"])

    def goal(words, scene, peer, bound, who="ironlane"):
        return Goal("forward", words, of(scene, peer, who), bound)

    goals = []
    for family, scene in (("IPv4", "ipv4"), ("IPv6", "ipv6")):
        goals += [
            goal(f"one {family} route: rate against l3fwd lpm", scene, "l3fwd lpm", 0.95),
            goal(f"one {family} route: rate against grout", scene, "grout", 3.5),
            goal(f"512 {family} nexthops: rate against l3fwd lpm", scene + "-512", "l3fwd lpm", 0.95),
        ]
    goals += [
        goal("full IPv4 table: rate against l3fwd fib", "full4", "l3fwd fib", 1.1),
        goal("full IPv4 table: rate against grout", "full4", "grout", 4),
        goal("full IPv6 table: rate against l3fwd fib", "full6", "l3fwd fib", 1.1),
        goal("full IPv6 table: rate against grout", "full6", "grout", 7),
    ]
    for words, scene, peer, bound in (("512 IPv4 nexthops", "bad1", "l3fwd lpm", 0.95), ("512 IPv6 nexthops", "bad1-6", "l3fwd lpm", 0.95),
                                      ("full IPv4 table", "full4-bad1", "l3fwd fib", 1.1), ("full IPv6 table", "full6-bad1", "l3fwd fib", 1.1)):
        goals.append(goal(f"the daemon, one bad frame in a hundred, {words}: rate against {peer}", scene, peer, bound, "daemon"))
    for words, scene, bound in (("one IPv4 route", "ipv4", 25), ("one IPv6 route", "ipv6", 25),
                                ("512 IPv4 nexthops", "ipv4-512", 25),
                                ("full IPv4 table", "full4", 65), ("full IPv6 table", "full6", 65)):
        goals.append(Goal("forward", f"{words}: cycles a packet above the bare rig", of(scene), bound, at_most=True))
    return goals


def lcores(rates, taken):
    """`rates`: by number of lcores, for the time their cores were there; `taken`: percent of the time in which the cores
    of two lcores were somebody else's."""
    words, ratio, why = "two lcores: rate against one, where two whole cores are free", None, "needs 2 free cores"
    if 1 in rates and 2 in rates:
        if taken <= 2:
            ratio = rates[2] / rates[1]
        else:
            why += f": others took {taken:.0f} % of them"
    return [Goal("scale", words, ratio, 1.95, why=why)]


def ipsec(lines):
    """Of what is left of a packet's cycles after those of the bare rig."""
    plain = [line for line in lines if not line["more"]]
    least = lambda key, wanted: min((line[key] for line in wanted if line[key] is not None), default=None)
    goals = []
    for size, bound in (("64", 0.6), ("1420", 0.85)):
        for way in ("out", "in"):
            one = [line for line in plain if (line["way"], line["size"], line["tunnels"]) == (way, size, 1)]
            goals.append(Goal("ipsec", f"{way}, {size} bytes, 1 tunnel: rate against the crypto limit", least("to limit", one), bound))
    for tunnels in sorted({line["tunnels"] for line in plain}):
        of = [line for line in plain if line["tunnels"] == tunnels]
        goals.append(Goal("ipsec", f"{tunnels:,} tunnel{'s' * (tunnels > 1)}, least of all: rate against ipsec-secgw", least("to secgw", of), 1.35))
    above = {(line["way"], line["size"], line["tunnels"]): line["ironlane"]["above"] for line in plain if "above" in line.get("ironlane", {})}
    shares = [above[way, size, 1] / many for (way, size, tunnels), many in above.items() if tunnels == 100_000 and (way, size, 1) in above]
    goals.append(Goal("ipsec", "100,000 tunnels, least of all: rate against 1 tunnel", min(shares, default=None), 0.5))
    return goals


def sas(lines):
    """The least of all: SAs that the plugin's socket takes a second."""
    return [Goal("sas", "SAs a second through the plugin's socket, least of all", min((line["sas"] for line in lines if line["sas"]), default=None), 10_000)]


def idle(share, first):
    """`share`: of a core, in percent, by idle.py; `first`: figures of the first packets by family."""
    goals = [Goal("idle", "an idle router: share of a core", share and share["daemon_percent"], 5, at_most=True, unit=" %")]
    for family, row in first.items():
        goals.append(Goal("idle", f"first {family} packet after silence, 99th percentile", row["p99_us"], 200, at_most=True, unit=" us"))
    return goals
