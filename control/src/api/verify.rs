//! What `verify` found, as the API says it.

use super::proto;
use crate::ipsec::xfrm::XfrmReport;
use crate::verify::{Cause, Difference, VerifyReport};

/// Each difference, then the summary, with what of the kernel's `xfrm` is not carried out.
pub(super) fn events(report: VerifyReport, xfrm: Option<&XfrmReport>) -> Vec<proto::VerifyEvent> {
    let s = report.summary;
    let summary = proto::VerifySummary {
        routes_checked: s.routes_checked,
        prefixes_checked: s.prefixes_checked,
        nexthops_checked: s.nexthops_checked,
        adjacencies_checked: s.adjacencies_checked,
        neighbours_checked: s.neighbours_checked,
        differences: s.differences,
        untold: s.untold,
        repaired: s.repaired,
        counters_identity_holds: s.counters_identity_holds,
        duration_ms: s.duration_ms,
        notes: [s.notes, xfrm.map(XfrmReport::notes).unwrap_or_default()].concat(),
    };
    let differences = report.differences.into_iter().map(|d| proto::VerifyEvent {
        difference: Some(difference(d)),
        summary: None,
    });
    let summary = proto::VerifyEvent {
        difference: None,
        summary: Some(summary),
    };
    differences.chain([summary]).collect()
}

fn difference(d: Difference) -> proto::VerifyDifference {
    proto::VerifyDifference {
        object: d.object.name().into(),
        cause: match d.cause {
            Cause::Tables => "tables",
            Cause::Mirror => "mirror",
        }
        .into(),
        subject: d.subject,
        expected: d.expected,
        found: d.found,
        repaired: d.repaired,
    }
}
