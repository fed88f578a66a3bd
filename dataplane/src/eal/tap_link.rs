//! The link of a `net_tap` port, wherever its kernel end has been moved.
//!
//! The driver asks by name in the network namespace where the tap was made. Another namespace
//! is a usual place for that end (a container, the demo's routers), and the driver then says
//! "down" for good. But the kernel tells by the tap's file in which namespace its other end is
//! (TUNGETDEVNETNS); a socket of that namespace answers what the flags are.

use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::LinkState;

nix::ioctl_read_bad!(tun_get_iff, 0x8004_54d2, libc::ifreq);
nix::ioctl_none_bad!(tun_get_dev_netns, 0x54e3);
nix::ioctl_write_ptr_bad!(tun_set_carrier, 0x4004_54e2, libc::c_int);
nix::ioctl_readwrite_bad!(ethtool, 0x8946, libc::ifreq);

/// Asks whether an interface is up and has a carrier.
const ETHTOOL_GLINK: u32 = 0x0a;

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// A handle on the tap of a port.
#[derive(Debug)]
pub(super) struct TapLink {
    /// A copy of one of the driver's files of the tap. To be closed before the port is.
    file: OwnedFd,
    /// A socket in the namespace where the kernel end was seen last.
    socket: Mutex<Option<OwnedFd>>,
}

impl TapLink {
    /// Finds the file of the tap whose interface has the number `if_index`, among the files of
    /// this process. To be called right after the port was made, while the interface is here.
    pub(super) fn find(if_index: u32) -> Option<Self> {
        let name = nix::net::if_::if_indextoname(if_index).ok()?;
        let name = name.to_bytes();
        for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
            let is_tun = fs::read_link(entry.path()).is_ok_and(|p| p.ends_with("net/tun"));
            let number = entry
                .file_name()
                .to_str()
                .and_then(|text| text.parse().ok());
            let (true, Some(number)) = (is_tun, number) else {
                continue;
            };
            // SAFETY: the number is of an open file of this process; should it be closed
            // meanwhile, the copy fails or is of another file, which the name below rules out.
            let file = unsafe { BorrowedFd::borrow_raw(number) };
            let Ok(file) = file.try_clone_to_owned() else {
                continue;
            };
            if interface(&file).is_ok_and(|request| name_of(&request) == name) {
                return Some(Self {
                    file,
                    socket: Mutex::new(None),
                });
            }
        }
        None
    }

    /// Carrier and administrative state of the kernel end, both: frames pass only with both.
    pub(super) fn state(&self) -> LinkState {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            let mut request = match interface(&self.file) {
                Ok(request) => request,
                // The interface went, with its namespace for one.
                Err(Errno::EBADFD) => return LinkState::Down,
                Err(_) => return LinkState::Unknown,
            };
            if socket.is_none() {
                *socket = self.socket_there();
            }
            match &*socket {
                Some(there) => {
                    // Not the flags: they follow a lost carrier up to a second late.
                    let mut value = EthtoolValue {
                        command: ETHTOOL_GLINK,
                        data: 0,
                    };
                    request.ifr_ifru.ifru_data = (&raw mut value).cast();
                    // SAFETY: the kernel reads the name and the pointer in `request`, and reads
                    // and writes `value` there.
                    if unsafe { ethtool(there.as_raw_fd(), &raw mut request) }.is_ok() {
                        return if value.data != 0 {
                            LinkState::Up
                        } else {
                            LinkState::Down
                        };
                    }
                    // Moved since: ask where it is now.
                    *socket = None;
                }
                None => return LinkState::Unknown,
            }
        }
        LinkState::Unknown
    }

    /// Gives the kernel end a carrier, or takes it away.
    pub(super) fn set_carrier(&self, up: bool) {
        let up = libc::c_int::from(up);
        // SAFETY: the kernel reads one integer.
        if let Err(errno) = unsafe { tun_set_carrier(self.file.as_raw_fd(), &raw const up) } {
            tracing::debug!("carrier of a tap: {errno}");
        }
    }

    /// A socket in the namespace of the kernel end. Only a thread that is in a namespace can make
    /// one there, so one is started for that.
    fn socket_there(&self) -> Option<OwnedFd> {
        // SAFETY: no argument; a result that is not an error is a new file of ours.
        let namespace = unsafe {
            let number = tun_get_dev_netns(self.file.as_raw_fd()).ok()?;
            OwnedFd::from_raw_fd(number)
        };
        let made = thread::Builder::new()
            .name("tap-netns".to_owned())
            .spawn(move || {
                setns(&namespace, CloneFlags::CLONE_NEWNET).ok()?;
                let flags = SockFlag::SOCK_CLOEXEC;
                socket(AddressFamily::Inet, SockType::Datagram, flags, None).ok()
            });
        made.ok()?.join().ok()?
    }
}

/// Name and flags of the tap that a file is open on.
fn interface(file: &OwnedFd) -> nix::Result<libc::ifreq> {
    // SAFETY: all zero is a valid request.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes one request.
    unsafe { tun_get_iff(file.as_raw_fd(), &raw mut request) }?;
    Ok(request)
}

fn name_of(request: &libc::ifreq) -> Vec<u8> {
    request
        .ifr_name
        .iter()
        .map(|&c| c as u8)
        .take_while(|&c| c != 0)
        .collect()
}
