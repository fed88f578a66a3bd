//! IPv4 options (RFC 791 3.1, RFC 2113).

/// End of the option list.
pub const END: u8 = 0;
/// No operation: padding.
pub const NOP: u8 = 1;
/// Record route.
pub const RECORD_ROUTE: u8 = 7;
/// Timestamp.
pub const TIMESTAMP: u8 = 68;
/// Loose source and record route.
pub const LOOSE_SOURCE_ROUTE: u8 = 131;
/// Strict source and record route.
pub const STRICT_SOURCE_ROUTE: u8 = 137;
/// Router alert.
pub const ROUTER_ALERT: u8 = 148;

/// One option: its type byte and what follows its length byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip4Option<'a> {
    /// Type, copy bit and class included.
    pub kind: u8,
    /// Data after type and length.
    pub data: &'a [u8],
}

/// An option whose length is below 2 or runs past the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIp4Option;

/// The options of a header, in order, padding left out; after a bad one it ends.
///
/// ```
/// use ironlane_packet::ip4_options::{Ip4Options, ROUTER_ALERT};
/// let mut options = Ip4Options::new(&[1, ROUTER_ALERT, 4, 0, 0, 0]);
/// assert_eq!(options.next().unwrap().unwrap().kind, ROUTER_ALERT);
/// assert!(options.next().is_none());
/// assert!(Ip4Options::new(&[7, 1, 0, 0]).next().unwrap().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Ip4Options<'a>(&'a [u8]);

impl<'a> Ip4Options<'a> {
    /// The options in `bytes`: those between the fixed header and its end.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Ip4Options<'a> {
    type Item = Result<Ip4Option<'a>, BadIp4Option>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match *self.0 {
                [] | [END, ..] => return None,
                [NOP, ref rest @ ..] => self.0 = rest,
                [kind, len, ..] if len >= 2 && usize::from(len) <= self.0.len() => {
                    let (option, rest) = self.0.split_at(usize::from(len));
                    self.0 = rest;
                    return Some(Ok(Ip4Option {
                        kind,
                        data: &option[2..],
                    }));
                }
                _ => {
                    self.0 = &[];
                    return Some(Err(BadIp4Option));
                }
            }
        }
    }
}

/// What a router that forwards has to know about the options of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip4OptionsNeed {
    /// Padding only: forward like a packet without options.
    Nothing,
    /// Router alert with value 0: "examine the packet" (RFC 2113 2.1).
    RouterAlert,
    /// Something to write into, an error to answer, or an option unknown here.
    Handling,
}

/// Judges the options between the fixed header and its end.
///
/// ```
/// use ironlane_packet::ip4_options::{need, Ip4OptionsNeed};
/// assert_eq!(need(&[1, 1, 1, 0]), Ip4OptionsNeed::Nothing);
/// assert_eq!(need(&[148, 4, 0, 0]), Ip4OptionsNeed::RouterAlert);
/// assert_eq!(need(&[7, 3, 4, 0]), Ip4OptionsNeed::Handling);
/// ```
pub fn need(options: &[u8]) -> Ip4OptionsNeed {
    let mut need = Ip4OptionsNeed::Nothing;
    for option in Ip4Options::new(options) {
        match option {
            Ok(Ip4Option {
                kind: ROUTER_ALERT,
                data: [0, 0],
            }) => {
                need = Ip4OptionsNeed::RouterAlert;
            }
            _ => return Ip4OptionsNeed::Handling,
        }
    }
    need
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn options_come_out_in_order_without_padding() {
        let bytes = [NOP, RECORD_ROUTE, 7, 4, 0, 0, 0, 0, NOP, 0x55, 2, END, 0xff];
        let kinds: Vec<_> = Ip4Options::new(&bytes).map(|o| o.unwrap().kind).collect();
        assert_eq!(kinds, [RECORD_ROUTE, 0x55]);
    }

    #[test]
    fn bad_lengths_end_the_walk() {
        for bytes in [&[7u8][..], &[7, 0, 1, 1], &[7, 1, 1, 1], &[7, 5, 0, 0]] {
            let mut options = Ip4Options::new(bytes);
            assert_eq!(options.next(), Some(Err(BadIp4Option)), "{bytes:?}");
            assert_eq!(options.next(), None);
        }
    }

    #[test]
    fn an_alert_beside_another_option_needs_handling() {
        assert_eq!(need(&[148, 4, 0, 0, 68, 4, 5, 0]), Ip4OptionsNeed::Handling);
        assert_eq!(
            need(&[148, 4, 0, 7]),
            Ip4OptionsNeed::Handling,
            "reserved value"
        );
        assert_eq!(need(&[]), Ip4OptionsNeed::Nothing);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..41)) {
            prop_assert!(Ip4Options::new(&bytes).count() <= bytes.len());
            need(&bytes);
        }
    }
}
