//! Which `if_id`s and marks there are: those of IPsec interfaces.

use ironlane_ipsec::{Mark, Mode};

use super::{Model, Refusal};

/// The name of SAs and policies that are reached by an IPsec interface. One of the two is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceName {
    /// Its `if_id`.
    pub if_id: u32,
    /// Its mark.
    pub mark: u32,
}

impl Model {
    /// Says which IPsec interfaces there are: whatever names another one is refused, as no packet
    /// could ever meet it. Before anything is installed.
    pub fn set_interfaces(&mut self, interfaces: Vec<InterfaceName>) {
        self.interfaces = interfaces;
    }

    /// Refuses what names an interface that there is not.
    pub(super) fn check_interface(&self, if_id: u32, mark: Mark) -> Result<(), Refusal> {
        let Mark { value, mask } = mark;
        let refused = |what: String| Err(Refusal::NotSupported(what));
        match (if_id, mask) {
            (0, 0) => Ok(()),
            (0, _) if self.interfaces.iter().any(|one| one.is_of(mark)) => Ok(()),
            (0, _) => refused(format!(
                "mark {value:#x}/{mask:#x}: no [[ipsec_interface]] of the router has it, and nothing else \
                 gives packets marks"
            )),
            (if_id, 0) if self.interfaces.iter().any(|one| one.if_id == if_id) => Ok(()),
            (if_id, 0) => refused(format!(
                "if_id {if_id}: no [[ipsec_interface]] of the router has it"
            )),
            (if_id, _) => refused(format!(
                "if_id {if_id} with mark {value:#x}; take one of the two"
            )),
        }
    }

    /// Refuses what an interface cannot do: its packets are routed anew once they are protected, and
    /// in transport mode the way would be back to it.
    pub(super) fn check_mode(&self, if_id: u32, mark: Mark, mode: Mode) -> Result<(), Refusal> {
        let is_by_interface = if_id != 0 || mark.mask != 0;
        if is_by_interface && mode == Mode::Transport {
            let what = "transport mode by an IPsec interface (if_id or mark); use mode = tunnel";
            return Err(Refusal::NotSupported(what.into()));
        }
        Ok(())
    }
}

impl InterfaceName {
    fn is_of(self, mark: Mark) -> bool {
        self.if_id == 0 && mark.matches(self.mark)
    }
}
