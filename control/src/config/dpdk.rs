//! `[dpdk]` and `[mempool]`: memory, and how EAL is started.

use serde::Serialize;

use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// How DPDK's environment (EAL) is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dpdk {
    /// Use hugepages; without them only virtual devices work, and slower.
    pub hugepages: bool,
    /// Memory taken at start, in MiB.
    pub memory_mib: u32,
    /// Prefix of EAL's files, one for each daemon on a machine.
    pub file_prefix: String,
    /// Leave no files in hugetlbfs or the runtime folder.
    pub in_memory: bool,
    /// More EAL arguments, passed as they are.
    pub extra_args: Vec<String>,
}

/// Packet buffers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mempool {
    /// Packet buffers on each NUMA node; worked out from the queues if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbufs: Option<u32>,
    /// Packet buffers for what Linux sends.
    pub exception_mbufs: u32,
}

pub(super) static SECTION: Section = Section {
    name: "dpdk",
    shape: Shape::Single,
    help: "Memory for DPDK and how it is started.",
    keys: &[
        Key {
            name: "hugepages",
            kind: Kind::Bool,
            default: Default::Value("true"),
            example: "",
            help: "Take memory from hugepages. false is for trying things out: it needs no \
                   preparation, but serves virtual devices only and is slower.",
        },
        Key {
            name: "memory_mib",
            kind: Kind::Integer(64, 1_048_576),
            default: Default::Value("512"),
            example: "",
            help: "Memory to take at start, in MiB. 1000 buffers take about 2.3 MiB.",
        },
        Key {
            name: "file_prefix",
            kind: Kind::Text,
            default: Default::Value("\"ironlane\""),
            example: "",
            help: "Sets the files of this daemon's DPDK apart from those of other DPDK programs.",
        },
        Key {
            name: "in_memory",
            kind: Kind::Bool,
            default: Default::Value("true"),
            example: "",
            help: "Keep no files: a killed daemon leaves no hugepages behind. false lets DPDK's \
                   own tools attach.",
        },
        Key {
            name: "extra_args",
            kind: Kind::TextList,
            default: Default::Value("[]"),
            example: "[\"--log-level=pmd.net.tap:debug\"]",
            help: "More arguments for EAL, passed as they are. Those that the keys of this file \
                   stand for (lcores, memory, devices, file prefix) are refused.",
        },
    ],
};

pub(super) static MEMPOOL_SECTION: Section = Section {
    name: "mempool",
    shape: Shape::Single,
    help: "Packet buffers (mbufs), a pool for each NUMA node that has a port.",
    keys: &[
        Key {
            name: "mbufs",
            kind: Kind::Integer(1_024, 16_777_215),
            default: Default::Derived("worked out from ports, queues, descriptors and lcores"),
            example: "65535",
            help: "Buffers in each pool. A power of two less one wastes no memory.",
        },
        Key {
            name: "exception_mbufs",
            kind: Kind::Integer(511, 1_048_575),
            default: Default::Value("4095"),
            example: "",
            help: "Buffers of the pool of its own for packets that Linux sends by the taps.",
        },
    ],
};

/// EAL arguments that have a key of their own, with that key.
const OWNED_ARGS: &[(&str, &str)] = &[
    ("-l", "[lcores] cpus"),
    ("-c", "[lcores] cpus"),
    ("--lcores", "[lcores] cpus"),
    ("--main-lcore", "[lcores] cpus"),
    ("-m", "[dpdk] memory_mib"),
    ("--socket-mem", "[dpdk] memory_mib"),
    ("--no-huge", "[dpdk] hugepages"),
    ("--in-memory", "[dpdk] in_memory"),
    ("--file-prefix", "[dpdk] file_prefix"),
    ("-a", "[[port]] device"),
    ("--allow", "[[port]] device"),
    ("--vdev", "[[port]] device"),
    ("--no-pci", "[[port]] device"),
];

impl Dpdk {
    pub(super) fn read(table: &Table<'_>) -> Self {
        let extra = table.list::<String>("extra_args");
        for arg in &extra {
            let name = arg.get_ref().split('=').next().unwrap_or_default();
            if let Some((_, key)) = OWNED_ARGS.iter().find(|(owned, _)| *owned == name) {
                let message = format!("[dpdk] extra_args: {name} is set by {key}");
                table.reader.fault(&arg.span(), message);
            }
        }
        let file_prefix: String = table.parsed("file_prefix").unwrap_or_default();
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if file_prefix.is_empty() || !file_prefix.chars().all(word) {
            table.fault(
                "file_prefix",
                "only letters, digits, '-', '_' and '.' can stand here",
            );
        }
        Self {
            hugepages: table.boolean("hugepages"),
            memory_mib: table.integer("memory_mib").unwrap_or_default(),
            file_prefix,
            in_memory: table.boolean("in_memory"),
            extra_args: extra.into_iter().map(toml::Spanned::into_inner).collect(),
        }
    }
}

impl Mempool {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            mbufs: table.integer("mbufs"),
            exception_mbufs: table.integer("exception_mbufs").unwrap_or_default(),
        }
    }
}
