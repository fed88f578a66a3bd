//! IPsec, where it is configured: what encrypts, and the control side.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ironlane_dataplane::dataplane::Dataplane;
use ironlane_dataplane::eal::Eal;
use ironlane_dataplane::eal::crypto::{CryptoDevice, CryptoError};
use ironlane_dataplane::ipsec::{FragmentLimits, Ipsec as Tables, IpsecSetup};
use ironlane_dataplane::lcore::PathMtus;
use ironlane_rcu::Domain;
use tokio::runtime::Handle;

use super::Face;
use crate::api::Socket;
use crate::config::{self, Config};
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{self, InterfaceName, Model, TooBig};
use crate::ipsec::xfrm::XfrmOptions;
use crate::ipsec::{Ipsec, IpsecError, PathEars, boot_number};

/// What the data plane is to be started with, if anybody may install SAs.
pub(super) fn setup(
    config: &config::Ipsec,
    eal: Eal,
    lcores: usize,
    domain: &Arc<Domain>,
) -> Result<Option<IpsecSetup>, CryptoError> {
    if !config.is_on() {
        return Ok(None);
    }
    let device = config.crypto_device.as_deref();
    let device = device.unwrap_or(CryptoDevice::default_string());
    // There are at most 128 lcores.
    let device = CryptoDevice::open(eal, device, lcores as u16, -1)?;
    let tables = Arc::new(Tables::new(domain));
    if config.wait_for_charon_s > 0 {
        tables.await_policies();
    }
    Ok(Some(IpsecSetup {
        ipsec: tables,
        device,
        fragments: FragmentLimits {
            held: config.fragments_held,
            timeout_ns: u64::from(config.fragment_timeout_ms) * 1_000_000,
        },
    }))
}

/// Starts the control side, if anybody may install SAs.
pub(super) fn start(
    config: &Config,
    faces: &[Face],
    setup: Option<&IpsecSetup>,
    dataplane: &Arc<Dataplane>,
    heard: Receiver<TooBig>,
    runtime: &Handle,
) -> Result<Option<Ipsec>, IpsecError> {
    let Some(setup) = setup else {
        return Ok(None);
    };
    // Who stops the data plane must be the last to have it.
    let clock: Weak<Dataplane> = Arc::downgrade(dataplane);
    let now_s = move || clock.upgrade().map_or(0, |dataplane| dataplane.now_s());
    let lcores = Arc::downgrade(dataplane);
    let paths = PathEars {
        heard,
        tell: Box::new(move |paths| {
            if let Some(dataplane) = lcores.upgrade() {
                dataplane.set_path_mtus(PathMtus::new(paths));
            }
        }),
    };
    let tables = model::Tables::new(setup.writer(), now_s);
    let mut model = Model::new(Box::new(tables));
    let interfaces = config.ipsec_interfaces.iter().map(|one| InterfaceName {
        if_id: one.if_id,
        mark: one.mark,
    });
    model.set_interfaces(interfaces.collect());
    let shared = Shared::new(model, boot_number());
    let path = config.ipsec.charon_socket.as_ref();
    let socket = path.map(|path| Socket::bind(path, None)).transpose()?;
    let xfrm = config.ipsec.xfrm.then(|| xfrm_options(config, faces));
    if config.ipsec.wait_for_charon_s > 0 {
        let (wait_s, tables) = (config.ipsec.wait_for_charon_s, Arc::downgrade(&setup.ipsec));
        runtime.spawn(give_up_waiting(wait_s, tables));
    }
    let ipsec = Ipsec::start(runtime, shared, socket, xfrm, Some(paths))?;
    Ok(Some(ipsec))
}

fn xfrm_options(config: &Config, faces: &[Face]) -> XfrmOptions {
    let netns = config.daemon.netns_path();
    XfrmOptions {
        receive_buffer_bytes: config.mirror.receive_buffer_kib as usize * 1024,
        taps: faces.iter().map(|face| face.tap.clone()).collect(),
        // In a namespace of its own the router has no other interfaces.
        pass_ip6: config.ipsec.xfrm_pass_ip6.unwrap_or(netns.is_some()),
        netns,
    }
}

/// Lets packets go in the end whose policies nobody has told.
async fn give_up_waiting(wait_s: u32, tables: Weak<Tables>) {
    tokio::time::sleep(Duration::from_secs(wait_s.into())).await;
    let Some(tables) = tables.upgrade().filter(|tables| !tables.knows_policies()) else {
        return;
    };
    tracing::warn!(
        "[ipsec] wait_for_charon_s: charon has told no policies in {wait_s} s; packets are forwarded by those there are"
    );
    tables.policies_are_known();
}
