//! `RTM_NEWRULE`, `RTM_DELRULE`: policy rules, known though not honoured beyond the defaults.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ironlane_rib::{Rule, TableId};

use super::Malformed;
use super::attr::Attributes;
use super::decode::{header, ipv6, u32_at};

/// `struct fib_rule_hdr`.
pub(super) const HEADER_LEN: usize = 12;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PAD: u16 = 18;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

const FIB_RULE_INVERT: u32 = 2;
const FR_ACT_TO_TBL: u8 = 1;
/// "None", in attributes that are always there.
const UNSET: u32 = u32::MAX;

/// The rule; `None` for other families.
pub(super) fn decode(body: &[u8]) -> Result<Option<Rule>, Malformed> {
    let (family, fixed) = header::<HEADER_LEN>(body)?;
    let Some(ipv6) = ipv6(family) else {
        return Ok(None);
    };
    let [_, dst_len, src_len, tos, table, _, _, action, ..] = *fixed;
    let any: IpAddr = if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let (mut priority, mut table, mut goto) = (0, u32::from(table), None);
    let (mut from, mut to, mut mark, mut mask) = (any, any, None, UNSET);
    let mut words = String::new();
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        let mut word = |text: std::fmt::Arguments<'_>| {
            words.push(' ');
            // Writing to a String cannot fail.
            let _ = words.write_fmt(text);
        };
        match attribute.kind {
            FRA_DST => to = attribute.ip_of(ipv6)?,
            FRA_SRC => from = attribute.ip_of(ipv6)?,
            FRA_PRIORITY => priority = attribute.u32()?,
            FRA_TABLE => table = attribute.u32()?,
            FRA_GOTO => goto = Some(attribute.u32()?),
            FRA_FWMARK => mark = Some(attribute.u32()?).filter(|mark| *mark != 0),
            FRA_FWMASK => mask = attribute.u32()?,
            FRA_IIFNAME => word(format_args!("iif {}", attribute.text())),
            FRA_OIFNAME => word(format_args!("oif {}", attribute.text())),
            FRA_L3MDEV if attribute.u8()? != 0 => word(format_args!("l3mdev")),
            FRA_SUPPRESS_PREFIXLEN if attribute.u32()? != UNSET => {
                word(format_args!("suppress_prefixlength {}", attribute.u32()?));
            }
            FRA_SUPPRESS_IFGROUP if attribute.u32()? != UNSET => {
                word(format_args!("suppress_ifgroup {}", attribute.u32()?));
            }
            FRA_IP_PROTO => word(format_args!("ipproto {}", attribute.u8()?)),
            FRA_UID_RANGE => word(format_args!("uidrange")),
            FRA_SPORT_RANGE => word(format_args!("sport")),
            FRA_DPORT_RANGE => word(format_args!("dport")),
            FRA_FLOW if attribute.u32()? != 0 => {
                word(format_args!("realms {}", attribute.u32()?));
            }
            FRA_TUN_ID => word(format_args!("tun_id")),
            FRA_FLOW
            | FRA_L3MDEV
            | FRA_SUPPRESS_IFGROUP
            | FRA_SUPPRESS_PREFIXLEN
            | FRA_PAD
            | FRA_PROTOCOL => {}
            // A condition that we do not know is a condition all the same.
            unknown => word(format_args!("attribute {unknown}")),
        }
    }

    let mut condition = String::new();
    if u32_at(fixed, 8) & FIB_RULE_INVERT != 0 {
        condition.push_str("not ");
    }
    for (word, address, len) in [("from", from, src_len), ("to", to, dst_len)] {
        if len > 0 {
            let _ = write!(condition, "{word} {address}/{len} ");
        }
    }
    if tos != 0 {
        let _ = write!(condition, "tos {tos:#04x} ");
    }
    if let Some(mark) = mark {
        let _ = write!(condition, "fwmark {mark:#x}");
        if mask != UNSET {
            let _ = write!(condition, "/{mask:#x}");
        }
    }
    condition.push_str(&words);
    let table = Some(TableId(table)).filter(|table| action == FR_ACT_TO_TBL && table.0 != 0);
    let verdict = match (action, goto) {
        (2, Some(target)) => format!(" goto {target}"),
        (3, _) => " nop".to_owned(),
        (6, _) => " blackhole".to_owned(),
        (7, _) => " unreachable".to_owned(),
        (8, _) => " prohibit".to_owned(),
        _ => String::new(),
    };
    condition.push_str(&verdict);
    let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Some(Rule {
        ipv6,
        priority,
        table,
        condition,
    }))
}
