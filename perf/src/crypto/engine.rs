//! As lcores do it.

use ironlane_dataplane::eal::Mbuf;
use ironlane_dataplane::eal::crypto::{
    CryptoDevice, CryptoError, Engine, Job, Jobs, Outcome, Part, Session, Transform, Way,
};
use ironlane_ipsec::Cipher;

use super::{BEFORE, Contender, Work};

/// An engine of a device, with sessions of both ways.
pub(super) struct ByEngine {
    engine: Engine,
    seal: Vec<Session>,
    open: Vec<Session>,
    job: Job,
}

impl ByEngine {
    pub(super) fn new(
        device: &CryptoDevice,
        work: &Work,
        sessions: usize,
    ) -> Result<Self, CryptoError> {
        let session = |number, way| {
            let (cipher_key, auth_key) = work.keys(number);
            device.session(&Transform {
                algorithm: work.algorithm,
                cipher_key: &cipher_key,
                auth_key: &auth_key,
                way,
                aad_len: 8,
            })
        };
        Ok(Self {
            engine: device.engine()?,
            seal: (0..sessions)
                .map(|n| session(n, Way::Seal))
                .collect::<Result<_, _>>()?,
            open: (0..sessions)
                .map(|n| session(n, Way::Open))
                .collect::<Result<_, _>>()?,
            job: job(work),
        })
    }
}

/// The parts of a packet with an ESP header in front.
pub(super) fn job(work: &Work) -> Job {
    let cipher = work.algorithm.cipher;
    let encrypts = !matches!(cipher, Cipher::Null | Cipher::AesGmac);
    let covers = cipher == Cipher::AesGmac || !cipher.is_aead();
    let part = |there: bool, at: usize, len: usize| match there {
        true => Part::new(at as u16, len as u16),
        false => Part::default(),
    };
    Job {
        cipher: part(encrypts, BEFORE, work.bytes),
        auth: part(covers, 0, BEFORE + work.bytes),
        icv_at: (BEFORE + work.bytes) as u16,
        ..Job::default()
    }
}

impl Contender for ByEngine {
    fn burst(&mut self, packets: &mut [Mbuf], first_session: usize, way: Way) -> bool {
        let sessions = if way == Way::Seal {
            &self.seal
        } else {
            &self.open
        };
        let mut jobs = Jobs::new(&self.engine);
        let mut next = first_session;
        for mbuf in packets {
            if jobs.push(&sessions[next], mbuf, &self.job).is_err() {
                return false;
            }
            next = if next + 1 == sessions.len() {
                0
            } else {
                next + 1
            };
        }
        self.engine.process(&mut jobs);
        jobs.outcomes().all(|outcome| outcome == Outcome::Done)
    }
}
