//! Compares what lcores read with what the kernel has.
//!
//! The live tables are walked under an RCU guard, from the first address to the last, down to
//! rewrite bytes, MTU, port and kind, group members, weights and buckets. What they should answer
//! is computed from a fresh dump of the kernel that shares nothing with the mirror's own state. A
//! difference counts only if it is still there after a while, against another dump, since the
//! kernel goes on changing. It is then put to the mirror which of two things went wrong:
//!
//! - the *tables* are not what the mirror wrote: a leaf, or a slot (nexthop, adjacency, group);
//! - the *mirror* does not know what the kernel has: it missed a change, or misjudged one.
//!
//! Repair writes the leaf or the slot again, or has the mirror read everything from the kernel
//! again; then everything is compared once more.
//!
//! Blocks for as long as dumps take: a few seconds for a million routes. For threads that may.

mod compare;
mod report;
mod slots;
mod source;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ironlane_dataplane::lcore::CounterSnapshot;
use ironlane_fib::Tables;
use ironlane_rcu::Domain;
use ironlane_rib::{Family, Rib};

use compare::Comparison;
pub use report::{Cause, Difference, Object, Summary, VerifyReport};
pub use source::{Source, VerifyError};

/// Routes that are named one by one in the notes.
const NOTED_ROUTES: usize = 10;

/// How to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Mend what differs.
    pub repair: bool,
    /// Time between two comparisons of what differs.
    pub settle: Duration,
    /// Comparisons that a difference must outlast to be believed.
    pub rounds: u32,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            repair: false,
            settle: Duration::from_millis(250),
            rounds: 3,
        }
    }
}

/// Compares everything, and mends what differs if asked to. `counters` are checked for their
/// identity if given.
///
/// # Errors
/// The kernel cannot be listed, or the mirror is not there.
pub fn verify(
    source: &impl Source,
    options: &VerifyOptions,
    counters: Option<&CounterSnapshot>,
) -> Result<VerifyReport, VerifyError> {
    let started = Instant::now();
    let tables = source.live(|_, writer| Arc::clone(writer.tables()))?;
    let mut found = look(source, options, &tables)?;
    let mut repaired = 0;
    let mut untold = found.untold;
    if options.repair && !(found.differences.is_empty() && found.untold == 0) {
        let missed = |difference: &Difference| difference.cause == Cause::Mirror;
        if found.untold > 0 || found.differences.iter().any(missed) {
            source.resync()?;
        }
        let after = look(
            source,
            &VerifyOptions {
                repair: false,
                ..options.clone()
            },
            &tables,
        )?;
        let left: BTreeSet<_> = after.differences.iter().map(Difference::identity).collect();
        for difference in &mut found.differences {
            difference.repaired = !left.contains(&difference.identity());
            repaired += u64::from(difference.repaired);
        }
        // What hid behind another fault, or was only counted before.
        let known: BTreeSet<_> = found.differences.iter().map(Difference::identity).collect();
        let hidden = after
            .differences
            .into_iter()
            .filter(|d| !known.contains(&d.identity()));
        found.differences.extend(hidden);
        repaired += untold.saturating_sub(after.untold);
        untold = untold.max(after.untold);
        found.untold = after.untold;
    }
    let (broken, notes) = counters.map(check_counters).unwrap_or_default();
    let counters_identity_holds = broken.is_empty();
    found.differences.extend(broken);
    let summary = Summary {
        routes_checked: found.routes,
        prefixes_checked: found.prefixes,
        nexthops_checked: found.nexthops,
        adjacencies_checked: found.adjacencies,
        neighbours_checked: found.neighbours,
        differences: found.differences.len() as u64 + untold,
        untold: found.untold,
        repaired,
        counters_identity_holds,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        notes: [found.notes, notes].concat(),
    };
    Ok(VerifyReport {
        differences: found.differences,
        summary,
    })
}

/// What one look found.
struct Look {
    differences: Vec<Difference>,
    /// Differing prefixes beyond those that are named.
    untold: u64,
    routes: u64,
    prefixes: u64,
    nexthops: u64,
    adjacencies: u64,
    neighbours: u64,
    notes: Vec<String>,
}

/// Compares until nothing differs, or what differs has outlasted all rounds; then asks the mirror
/// where the fault is, and mends what it can.
fn look(
    source: &impl Source,
    options: &VerifyOptions,
    tables: &Arc<Tables>,
) -> Result<Look, VerifyError> {
    let mut round = 0;
    let mut before: Option<Comparison> = None;
    let (kernel, comparison) = loop {
        round += 1;
        let mut kernel = source.kernel()?;
        let mut comparison = against(tables, &mut kernel)?;
        if let Some(before) = &before {
            comparison.keep_lasting(before);
        }
        if comparison.is_clean() || round >= options.rounds.max(1) {
            break (kernel, comparison);
        }
        before = Some(comparison);
        thread::sleep(options.settle);
    };
    let prefixes = comparison.prefixes;
    let repair = options.repair;
    let checked =
        source.live(move |rib, writer| slots::check(rib, writer, comparison, repair))??;
    Ok(Look {
        differences: checked.differences,
        untold: checked.untold,
        routes: (kernel.route_count(Family::Ip4) + kernel.route_count(Family::Ip6)) as u64,
        prefixes: prefixes as u64,
        nexthops: checked.nexthops,
        adjacencies: checked.adjacencies,
        neighbours: kernel.neighbour_count() as u64,
        notes: notes(&kernel),
    })
}

/// Compares the live tables with a state of the kernel.
fn against(tables: &Tables, kernel: &mut Rib) -> Result<Comparison, VerifyError> {
    let expectation = kernel.expectation();
    let names = words::Names::new(kernel);
    let mut reader = Domain::register(tables.domain()).map_err(|_| VerifyError::Readers)?;
    let guard = reader.read();
    Ok(compare::compare(
        tables,
        &guard,
        kernel.vrf(),
        &expectation,
        &names,
    ))
}

/// What the kernel has that cannot be honoured.
fn notes(kernel: &Rib) -> Vec<String> {
    let mut notes: Vec<String> = kernel
        .ignored_rules()
        .map(|rule| format!("{rule}: rules beyond the default ones are not honoured"))
        .collect();
    let missing = kernel.missing_rules();
    notes.extend(missing.map(|rule| format!("{rule} is not there: it is honoured all the same")));
    let routes = kernel.unhonoured_routes(NOTED_ROUTES + 1);
    notes.extend(routes.iter().take(NOTED_ROUTES).map(|view| {
        let route = &view.route;
        let from = route
            .from
            .map_or_else(String::new, |from| format!(" from {from}"));
        let tos = if route.tos == 0 {
            String::new()
        } else {
            format!(" tos {:#x}", route.tos)
        };
        let (prefix, table) = (route.prefix, route.table);
        format!("route {prefix}{from}{tos} of table {table}: TOS and source are not honoured")
    }));
    if routes.len() > NOTED_ROUTES {
        notes.push("more routes with a TOS or a source are not honoured".into());
    }
    notes
}

/// Checks that every packet that came in went somewhere, once, at each lcore.
fn check_counters(snapshot: &CounterSnapshot) -> (Vec<Difference>, Vec<String>) {
    let (mut broken, mut notes) = (Vec::new(), Vec::new());
    for lcore in &snapshot.lcores {
        let identity = lcore.identity();
        if !lcore.exact {
            notes.push(format!(
                "lcore {} did not answer: its counters are not checked",
                lcore.cpu
            ));
        } else if !identity.holds() {
            broken.push(Difference {
                object: Object::Counters,
                cause: Cause::Tables,
                subject: format!("lcore {}", lcore.cpu),
                expected:
                    "rx + injected + handoff_in + made = tx + dropped + punted + handoff_out + \
                           joined + held"
                        .into(),
                found: format!(
                    "{} + {} + {} + {} and {} + {} + {} + {} + {} + {}",
                    identity.rx,
                    identity.injected,
                    identity.handoff_in,
                    identity.made,
                    identity.tx,
                    identity.dropped,
                    identity.punted,
                    identity.handoff_out,
                    identity.joined,
                    identity.held
                ),
                repaired: false,
            });
        }
    }
    // Two lcores may each be right, and a packet be lost between them.
    if snapshot.rings_agree() == Some(false) {
        broken.push(Difference {
            object: Object::Counters,
            cause: Cause::Tables,
            subject: "hand-off rings".into(),
            expected: format!("{} packets, by the lcores", snapshot.handed_off()),
            found: format!("{} in the rings", snapshot.rings.handoff),
            repaired: false,
        });
    }
    (broken, notes)
}
