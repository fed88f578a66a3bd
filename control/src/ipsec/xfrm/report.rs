//! What the mirror takes from the kernel and what not, for whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

/// What is refused by name; the rest is counted.
pub(super) const NAMED: usize = 100;

/// The state of the mirror of XFRM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XfrmReport {
    /// SAs that lcores have from the kernel.
    pub sas: usize,
    /// Policies that lcores have from the kernel, those that drop since they cannot be carried out as well.
    pub policies: usize,
    /// SAs of the kernel that lcores do not take.
    pub refused_sas: usize,
    /// Policies whose packets lcores drop since they cannot do what the policy wants.
    pub refused_policies: usize,
    /// The first hundred of both, SAs first, by name.
    pub refused: Vec<Refused>,
    /// Messages of the kernel that could not be read, and were skipped.
    pub malformed: u64,
    /// Orders that the kernel refused: usage, ends, numbers of an SA that was deleted meanwhile, for example.
    pub orders_refused: u64,
    /// How often events were lost, and everything read anew.
    pub overruns: u64,
}

/// An SA or policy of the kernel that lcores do not carry out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Its name.
    pub subject: String,
    /// What lcores cannot do.
    pub why: String,
}

/// The report of a running mirror; clones show the same one.
#[derive(Debug, Clone, Default)]
pub struct XfrmReports(Arc<Mutex<XfrmReport>>);

impl XfrmReports {
    /// The report as it is now.
    pub fn get(&self) -> XfrmReport {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set(&self, report: XfrmReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

impl XfrmReport {
    /// What an operator should know, a line each; nothing if all that the kernel has is carried out.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<_> = self
            .refused
            .iter()
            .map(|refused| format!("the kernel's {}: {}", refused.subject, refused.why))
            .collect();
        let all = self.refused_sas + self.refused_policies;
        if all > notes.len() {
            let more = all - notes.len();
            notes.push(format!(
                "{more} more SAs and policies of the kernel are not carried out"
            ));
        }
        if self.malformed > 0 {
            let malformed = self.malformed;
            notes.push(format!(
                "{malformed} messages of XFRM could not be read; see the log"
            ));
        }
        notes
    }
}

/// The first of these, by name.
pub(super) fn named<'a>(
    refused: impl Iterator<Item = (String, &'a String)>,
    most: usize,
) -> Vec<Refused> {
    let mut all: Vec<_> = refused
        .map(|(subject, why)| Refused {
            subject,
            why: why.clone(),
        })
        .collect();
    all.sort_unstable();
    all.truncate(most);
    all
}
