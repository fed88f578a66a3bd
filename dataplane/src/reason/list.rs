//! The macros that turn a list of reasons into an enum with names, help and the rest.

/// What the three lists have in common: `ALL`, dense indexes, names and help.
macro_rules! list {
    ($(#[$doc:meta])* $enum:ident { $($(#[doc = $help:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $($(#[doc = $help])+ $variant,)+
        }

        impl $enum {
            /// Every entry, in packet order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Dense index below [`Self::COUNT`], for counter arrays.
            #[inline]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The entry with this index, if there is one.
            #[inline]
            pub fn from_index(index: usize) -> Option<Self> {
                Self::ALL.get(index).copied()
            }

            /// The stable name: CLI, JSON, metrics and tests use this spelling.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it means, in one line.
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($help),+).trim(),)+
                }
            }

            /// The entry with this name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|e| e.name() == name)
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

/// Drop reasons, grouped by the one stage that gives them.
macro_rules! drop_reasons {
    ($($stage:ident { $($(#[doc = $help:literal])+ $variant:ident = $name:literal,)* })+) => {
        list! {
            /// Why a packet was lost. Each reason belongs to one stage.
            DropReason { $($($(#[doc = $help])+ $variant = $name,)*)+ }
        }

        impl DropReason {
            /// The stage that gives this reason.
            pub const fn stage(self) -> StageId {
                match self {
                    $($(Self::$variant => StageId::$stage,)*)+
                }
            }
        }
    };
}

/// Punt reasons, grouped by priority, each with the rate at which it may reach the kernel.
macro_rules! punt_reasons {
    ($($priority:ident { $($(#[doc = $help:literal])+ $variant:ident = $name:literal @ $rate_pps:literal,)+ })+) => {
        list! {
            /// Why a packet goes, unchanged, to the kernel by the tap of its arrival port.
            PuntReason { $($($(#[doc = $help])+ $variant = $name,)+)+ }
        }

        impl PuntReason {
            /// Which of the rings to the exception thread it takes.
            #[inline]
            pub const fn priority(self) -> PuntPriority {
                match self {
                    $($(Self::$variant => PuntPriority::$priority,)+)+
                }
            }

            /// Packets a second that the policer lets through unless configured otherwise,
            /// over all lcores.
            pub const fn default_rate_pps(self) -> u32 {
                match self {
                    $($(Self::$variant => $rate_pps,)+)+
                }
            }
        }
    };
}
