//! Packets of a burst, and what is to be done to each.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::slice;

use dpdk_sys as c;

use super::super::{BURST_MAX, Mbuf};
use super::{Engine, JobError, Session};

const _: () = assert!(BURST_MAX == c::IL_CRYPTO_BURST as usize);

/// A part of a packet: bytes from the start of its data, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub at: u16,
    /// How long it is.
    pub len: u16,
}

impl Part {
    /// `len` bytes from `at` on.
    pub const fn new(at: u16, len: u16) -> Self {
        Self { at, len }
    }

    fn end(self) -> usize {
        usize::from(self.at) + usize::from(self.len)
    }
}

/// Where in a packet a session works. Parts may lie behind its data, in the tailroom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Job {
    /// What is encrypted or decrypted, in place: whole blocks for AES-CBC; empty without a cipher.
    pub cipher: Part,
    /// What is authenticated, if the cipher does not authenticate. If it does: its additional data,
    /// where that lies in the packet; empty where it is [`aad`](Self::aad).
    pub auth: Part,
    /// Where the ICV lies, or is to be written.
    pub icv_at: u16,
    /// IV of a block, or nonce of 12 bytes, as [`ironlane_ipsec`] lays it out.
    pub nonce: [u8; 16],
    /// Additional data; as much of it counts as the session was made for.
    pub aad: [u8; 12],
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done: sealed, or verified and open.
    Done,
    /// The ICV is wrong. What was to be decrypted is worthless, and may be changed.
    BadIcv,
    /// The device could not do it.
    Failed,
    /// The device did not answer for a second, and may yet write to the packet: it must not be freed
    /// or reused. Its engine does no more jobs.
    Lost,
}

/// Up to [`BURST_MAX`] jobs of any sessions of one device, in order, without allocation.
///
/// It borrows packets and sessions until it goes, so that nobody touches them meanwhile.
#[derive(Debug)]
pub struct Jobs<'a> {
    /// That of the sessions.
    device: u32,
    len: usize,
    jobs: [MaybeUninit<c::il_crypto_job>; BURST_MAX],
    borrowed: PhantomData<(&'a Session, &'a mut Mbuf)>,
}

impl<'a> Jobs<'a> {
    /// An empty burst for this engine, or another one of its device.
    #[inline]
    pub fn new(engine: &Engine) -> Self {
        Self {
            device: engine.device_number(),
            len: 0,
            jobs: [const { MaybeUninit::uninit() }; BURST_MAX],
            borrowed: PhantomData,
        }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a job, after those that are there.
    ///
    /// # Errors
    /// [`JobError`]; the burst and the packet are as before.
    #[inline]
    pub fn push(
        &mut self,
        session: &'a Session,
        mbuf: &'a mut Mbuf,
        job: &Job,
    ) -> Result<(), JobError> {
        let Some(slot) = self.jobs.get_mut(self.len) else {
            return Err(JobError::Full);
        };
        if session.device_number() != self.device {
            return Err(JobError::OtherDevice);
        }
        if mbuf.nb_segs() != 1 {
            return Err(JobError::Chained);
        }
        let room = mbuf.data_len() + mbuf.tailroom();
        let icv = Part::new(job.icv_at, session.icv_len());
        if job.cipher.end().max(job.auth.end()).max(icv.end()) > room {
            return Err(JobError::Outside);
        }
        session.check(job)?;
        slot.write(c::il_crypto_job {
            session: session.as_ptr(),
            mbuf: mbuf.as_mut_raw(),
            facts: session.facts(),
            cipher_offset: job.cipher.at,
            cipher_len: job.cipher.len,
            auth_offset: job.auth.at,
            auth_len: job.auth.len,
            icv_offset: job.icv_at,
            status: c::IL_CRYPTO_WAITING as u8,
            aad: job.aad,
            iv: job.nonce,
        });
        self.len += 1;
        Ok(())
    }

    /// What became of the jobs, in their order, once an engine has done them;
    /// [`Failed`](Outcome::Failed) before.
    #[inline]
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = Outcome> + '_ {
        // SAFETY: slots below `len` hold jobs.
        let jobs = unsafe {
            slice::from_raw_parts(self.jobs.as_ptr().cast::<c::il_crypto_job>(), self.len)
        };
        jobs.iter().map(|job| match u32::from(job.status) {
            c::IL_CRYPTO_DONE => Outcome::Done,
            c::IL_CRYPTO_BAD_ICV => Outcome::BadIcv,
            c::IL_CRYPTO_LOST => Outcome::Lost,
            _ => Outcome::Failed,
        })
    }

    #[inline]
    pub(super) fn device_number(&self) -> u32 {
        self.device
    }

    /// The jobs for C; as many as [`len`](Self::len) says are there.
    #[inline]
    pub(super) fn as_mut_ptr(&mut self) -> *mut c::il_crypto_job {
        self.jobs.as_mut_ptr().cast()
    }
}
