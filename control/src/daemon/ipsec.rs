//! The control side of IPsec, where it is configured.

use std::sync::Arc;
use std::time::Instant;

use ironlane_ipsec::{Ipsec as Tables, SaSpec, Writer};
use ironlane_rcu::Domain;
use tokio::runtime::Handle;

use crate::api::Socket;
use crate::config;
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{self, Model};
use crate::ipsec::{Ipsec, IpsecError, boot_number};

/// Starts it, if there is a socket for charon.
pub(super) fn start(
    config: &config::Ipsec,
    domain: &Arc<Domain>,
    runtime: &Handle,
) -> Result<Option<Ipsec>, IpsecError> {
    let Some(path) = &config.charon_socket else {
        return Ok(None);
    };
    // Until lcores protect packets, an SA that was taken would be traffic in clear.
    let device =
        |_: &SaSpec| Err::<(), _>("lcores of this build do not protect packets yet".into());
    let writer = Writer::new(Arc::new(Tables::new(domain)), device);
    let began = Instant::now();
    let tables = model::Tables::new(writer, move || began.elapsed().as_secs());
    let shared = Shared::new(Model::new(Box::new(tables)), boot_number());
    let socket = Socket::bind(path, None)?;
    Ok(Some(Ipsec::start(runtime, shared, socket)?))
}
