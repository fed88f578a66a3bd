//! Policy rules (`ip rule`), which are known but not honoured beyond the defaults.

use std::fmt;

use serde::Serialize;

use super::TableId;
use crate::Family;

/// A rule that chooses a routing table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Rule {
    /// Of IPv6, else of IPv4.
    pub ipv6: bool,
    /// Order among rules.
    pub priority: u32,
    /// The table that it leads to, if it leads to one.
    pub table: Option<TableId>,
    /// What it asks of a packet and does with it, in the words of `ip rule`; empty for
    /// `from all lookup TABLE`.
    pub condition: String,
}

impl Rule {
    /// Whether it is one of the three rules that every kernel starts with; only those are
    /// honoured.
    ///
    /// ```
    /// use ironlane_rib::{Rule, TableId};
    ///
    /// let main = Rule {
    ///     ipv6: false,
    ///     priority: 32766,
    ///     table: Some(TableId::MAIN),
    ///     condition: String::new(),
    /// };
    /// assert!(main.is_default());
    /// assert!(!Rule { condition: "fwmark 0x1".into(), ..main }.is_default());
    /// ```
    pub fn is_default(&self) -> bool {
        let table = match self.priority {
            0 => TableId::LOCAL,
            32766 => TableId::MAIN,
            32767 if !self.ipv6 => TableId::DEFAULT,
            _ => return false,
        };
        self.condition.is_empty() && self.table == Some(table)
    }

    /// The rules of a family that every kernel starts with.
    pub fn defaults(family: Family) -> impl Iterator<Item = Self> {
        let ipv6 = family == Family::Ip6;
        let rule = move |(priority, table)| Self {
            ipv6,
            priority,
            table: Some(table),
            condition: String::new(),
        };
        let rules = [
            (0, TableId::LOCAL),
            (32766, TableId::MAIN),
            (32767, TableId::DEFAULT),
        ];
        rules
            .into_iter()
            .map(rule)
            .filter(|rule: &Self| rule.is_default())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        let condition = if self.condition.is_empty() {
            "from all"
        } else {
            &self.condition
        };
        write!(f, "{family} rule {}: {condition}", self.priority)?;
        match self.table {
            Some(table) => write!(f, " lookup {table}"),
            None => Ok(()),
        }
    }
}
