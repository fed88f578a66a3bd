//! Which nexthop an address had after which update, by the routes themselves and without the tables'
//! lookup.

use std::collections::HashMap;

use super::Update;
use crate::table::{Prefix, Route};

/// After which update an address had which nexthop, from update 0, the table, on.
pub struct History(Vec<(u64, Option<u32>)>);

impl History {
    /// Whether the address had this nexthop after any update from `first` to `last`.
    pub fn had(&self, first: u64, last: u64, nexthop: Option<u32>) -> bool {
        self.within(first, last).any(|had| had == nexthop)
    }

    /// How many answers it had meanwhile.
    pub fn answers(&self, first: u64, last: u64) -> usize {
        self.within(first, last).count()
    }

    /// Whether it had a route all the time.
    pub fn is_whole(&self) -> bool {
        self.0.iter().all(|(_, nexthop)| nexthop.is_some())
    }

    fn within(&self, first: u64, last: u64) -> impl Iterator<Item = Option<u32>> {
        let from = self.0.partition_point(|&(at, _)| at <= first) - 1;
        let all = self.0[from..].iter();
        all.take_while(move |&&(at, _)| at <= last).map(|&(_, n)| n)
    }
}

/// The histories of IPv4 addresses, which are in order.
pub fn histories(routes: &[Route], updates: &[Update], watched: &[u32]) -> Vec<History> {
    let mut table: HashMap<Prefix, u32> = HashMap::new();
    table.extend(routes.iter().map(|route| (route.prefix, route.nexthop)));
    let first = watched.iter().map(|&address| best(&table, address));
    let mut all: Vec<History> = first.map(|now| History(vec![(0, now)])).collect();
    for (number, update) in (1..).zip(updates) {
        match update.nexthop {
            Some(nexthop) => drop(table.insert(update.prefix, nexthop)),
            None => drop(table.remove(&update.prefix)),
        }
        if update.prefix.ip6 {
            continue;
        }
        let low = update.prefix.address as u32;
        let high = low | host(update.prefix.len);
        let start = watched.partition_point(|&address| address < low);
        let below = watched[start..].iter().zip(&mut all[start..]);
        for (&address, history) in below.take_while(|(address, _)| **address <= high) {
            let now = best(&table, address);
            if history.0.last().is_none_or(|&(_, before)| before != now) {
                history.0.push((number, now));
            }
        }
    }
    all
}

fn best(table: &HashMap<Prefix, u32>, address: u32) -> Option<u32> {
    let cover = |len| Prefix {
        ip6: false,
        address: (address & !host(len)).into(),
        len,
    };
    let mut covers = (0..=32).rev().map(cover);
    covers.find_map(|cover| table.get(&cover).copied())
}

/// Ones behind the first `len` bits.
fn host(len: u8) -> u32 {
    u32::MAX.checked_shr(len.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_if_any_table_meanwhile_gave_it() {
        let history = History(vec![(0, Some(1)), (5, Some(2)), (9, Some(3))]);
        let had = |first, last, nexthop| history.had(first, last, Some(nexthop));
        assert!(had(0, 4, 1));
        assert!(!had(0, 4, 2));
        assert!(had(4, 5, 1) && had(4, 5, 2));
        assert!(!had(5, 8, 1));
        assert!(had(6, 12, 3) && !had(9, 9, 2));
        assert_eq!((history.answers(0, 4), history.answers(4, 9)), (1, 3));
    }

    #[test]
    fn a_history_follows_covers_that_come_and_go() {
        let prefix = |text: &str| text.parse::<ipnet::IpNet>().unwrap().into();
        let route = Route {
            prefix: prefix("10.0.0.0/8"),
            nexthop: 1,
        };
        let update = |text, nexthop| Update {
            prefix: prefix(text),
            nexthop,
        };
        let updates = [
            update("10.1.0.0/16", Some(2)),
            update("10.0.0.0/8", Some(3)),
            update("10.1.0.0/16", None),
            update("10.0.0.0/8", None),
        ];
        let all = histories(&[route], &updates, &[0x0a00_0001, 0x0a01_0001]);
        assert_eq!(all[0].0, [(0, Some(1)), (2, Some(3)), (4, None)]);
        assert_eq!(
            all[1].0,
            [(0, Some(1)), (1, Some(2)), (3, Some(3)), (4, None)]
        );
        assert!(!all[0].is_whole());
    }
}
