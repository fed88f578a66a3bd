//! Whole bursts: every length, many sessions, both ways, flipped bits.

use ironlane_dataplane::eal::crypto::{Engine, Job, Jobs, Outcome, Session, Way};
use ironlane_dataplane::eal::{BURST_MAX, Mbuf};

use crate::lab::{DEVICES, Keyed, all, all_of, noise, one, open, packet, pool};

/// Both ways of one SA.
struct Pair {
    keyed: Keyed,
    seal: Session,
    open: Session,
}

/// Packets of an SA each, with their jobs and what they were.
struct Sent<'a> {
    pair: &'a Pair,
    mbuf: Mbuf,
    job: Job,
    plain: Vec<u8>,
}

fn run(engine: &mut Engine, sent: &mut [Sent<'_>], size: usize, way: Way) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for burst in sent.chunks_mut(size) {
        let mut jobs = Jobs::new(engine);
        for Sent {
            pair, mbuf, job, ..
        } in burst
        {
            let session = if way == Way::Seal {
                &pair.seal
            } else {
                &pair.open
            };
            jobs.push(session, mbuf, job).unwrap();
        }
        engine.process(&mut jobs);
        outcomes.extend(jobs.outcomes());
    }
    outcomes
}

#[test]
fn every_odd_length_goes_there_and_back() {
    for (number, string) in DEVICES.into_iter().enumerate() {
        let device = open(string, 30 + number as u32, 1);
        let (mut engine, pool) = (device.engine().unwrap(), pool("lengths"));
        for keyed in all_of(&device) {
            let seal = keyed.session(&device, Way::Seal, 12);
            let open = keyed.session(&device, Way::Open, 12);
            // OpenSSL is slow, and there to compare with.
            let step = if string == "crypto_openssl" { 178 } else { 2 };
            for len in (1..2048).step_by(step) {
                let len = usize::next_multiple_of(len, keyed.block());
                let plain = noise(len as u64, 24 + len + 32);
                let job = keyed.job(len, 0, 9);
                let mut mbuf = packet(&pool, &plain);
                assert_eq!(one(&mut engine, &seal, &mut mbuf, &job), Outcome::Done);
                let behind = 24 + len + usize::from(seal.icv_len());
                assert_eq!(
                    mbuf.data()[..24],
                    plain[..24],
                    "{keyed:?}: the header changed"
                );
                assert_eq!(
                    mbuf.data()[behind..],
                    plain[behind..],
                    "{keyed:?}: written behind the ICV"
                );
                assert_eq!(
                    one(&mut engine, &open, &mut mbuf, &job),
                    Outcome::Done,
                    "{keyed:?} {len}"
                );
                assert_eq!(
                    mbuf.data()[..24 + len],
                    plain[..24 + len],
                    "{string} {keyed:?} {len}"
                );
                mbuf.free();
            }
        }
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn bursts_of_all_algorithms_mixed_come_back_in_order() {
    for (number, string) in DEVICES.into_iter().enumerate() {
        let device = open(string, 40 + number as u32, 1);
        let (mut engine, pool) = (device.engine().unwrap(), pool("mixed"));
        let pairs: Vec<Pair> = all_of(&device)
            .into_iter()
            .map(|keyed| Pair {
                seal: keyed.session(&device, Way::Seal, 8),
                open: keyed.session(&device, Way::Open, 8),
                keyed,
            })
            .collect();
        for size in [1, 2, 3, 7, 32, 63, BURST_MAX] {
            let mut sent: Vec<Sent<'_>> = (0..128)
                .map(|i| {
                    let pair = &pairs[i * 7 % pairs.len()];
                    let len = (1 + i * 11 % 1400).next_multiple_of(pair.keyed.block());
                    let plain = noise(i as u64, 24 + len + 32);
                    let job = pair.keyed.job(len, 0, i as u64);
                    Sent {
                        pair,
                        mbuf: packet(&pool, &plain),
                        job,
                        plain,
                    }
                })
                .collect();
            assert!(
                run(&mut engine, &mut sent, size, Way::Seal)
                    .iter()
                    .all(|o| *o == Outcome::Done)
            );
            // Every fifth is damaged on its way, each at another place.
            for (i, one) in sent.iter_mut().enumerate().filter(|(i, _)| i % 5 == 0) {
                let end = usize::from(one.job.icv_at) + usize::from(one.pair.seal.icv_len());
                // Nothing that a cipher with additional data of its own covers lies before 24.
                one.mbuf.data_mut()[24 + i * 13 % (end - 24)] ^= 1 << (i % 8);
            }
            let outcomes = run(&mut engine, &mut sent, size, Way::Open);
            for (i, (one, outcome)) in sent.into_iter().zip(outcomes).enumerate() {
                if i % 5 == 0 {
                    assert_eq!(outcome, Outcome::BadIcv, "{string} {:?}", one.pair.keyed);
                } else {
                    let end = usize::from(one.job.icv_at);
                    assert_eq!(outcome, Outcome::Done, "{string} {:?}", one.pair.keyed);
                    assert!(
                        one.mbuf.data()[..end] == one.plain[..end],
                        "{string} {:?}",
                        one.pair.keyed
                    );
                }
                one.mbuf.free();
            }
        }
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn each_flipped_bit_is_found() {
    let device = open("cpu", 0, 1);
    let (mut engine, pool) = (device.engine().unwrap(), pool("flipped"));
    for keyed in all() {
        let (seal, open) = (
            keyed.session(&device, Way::Seal, 8),
            keyed.session(&device, Way::Open, 8),
        );
        let job = keyed.job(32, 0, 1);
        let mut mbuf = packet(&pool, &noise(2, 24 + 32 + 32));
        assert_eq!(one(&mut engine, &seal, &mut mbuf, &job), Outcome::Done);
        let sealed = mbuf.data().to_vec();
        let end = 24 + 32 + usize::from(seal.icv_len());
        let covered = if job.auth.len > 0 { 0 } else { 24 };
        for bit in covered * 8..end * 8 {
            mbuf.data_mut().copy_from_slice(&sealed);
            mbuf.data_mut()[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                one(&mut engine, &open, &mut mbuf, &job),
                Outcome::BadIcv,
                "{keyed:?} bit {bit}"
            );
        }
        // What else a packet is told by: the nonce, where one is used, and the additional data.
        mbuf.data_mut().copy_from_slice(&sealed);
        if keyed.algorithm.cipher.is_aead() {
            let mut other = job;
            other.nonce[11] ^= 1;
            assert_eq!(
                one(&mut engine, &open, &mut mbuf, &other),
                Outcome::BadIcv,
                "{keyed:?} nonce"
            );
        }
        if job.auth.len == 0 {
            mbuf.data_mut().copy_from_slice(&sealed);
            let mut other = job;
            other.aad[7] ^= 1;
            assert_eq!(
                one(&mut engine, &open, &mut mbuf, &other),
                Outcome::BadIcv,
                "{keyed:?} aad"
            );
        }
        mbuf.free();
    }
}

#[test]
fn engines_of_several_threads_share_sessions() {
    let device = open("cpu", 0, 4);
    let keyed = &all()[0];
    let (seal, open) = (
        keyed.session(&device, Way::Seal, 8),
        keyed.session(&device, Way::Open, 8),
    );
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (mut engine, seal, open) = (device.engine().unwrap(), &seal, &open);
            let pool = pool("threads");
            scope.spawn(move || {
                for round in 0..2000 {
                    let plain = noise(round * 4 + thread, 24 + 200 + 32);
                    let job = keyed.job(200, 0, round);
                    let mut mbuf = packet(&pool, &plain);
                    assert_eq!(one(&mut engine, seal, &mut mbuf, &job), Outcome::Done);
                    assert_eq!(one(&mut engine, open, &mut mbuf, &job), Outcome::Done);
                    assert!(mbuf.data()[..224] == plain[..224]);
                    mbuf.free();
                }
            });
        }
    });
}
