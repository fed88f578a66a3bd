//! What a device or a burst does not take, and what it says then.

use ironlane_dataplane::eal::BURST_MAX;
use ironlane_dataplane::eal::crypto::{
    CryptoDevice, CryptoError, Job, JobError, Jobs, KNOWN, Part, Way,
};
use ironlane_ipsec::{Auth, Cipher};

use crate::lab::{Keyed, all, all_of, noise, one, open, packet, pool};
use crate::rig::eal;

fn refused(string: &str) -> String {
    CryptoDevice::open(eal(), string, 1, -1)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_device_that_is_not_there_is_named_with_what_to_do() {
    let message = refused("crypto_nonsense0");
    assert!(
        message.contains("\"crypto_nonsense0\"") && message.contains("librte-meta-crypto"),
        "{message}"
    );
    let message = refused("ffff:ff:1f.7");
    assert!(message.contains("no such PCI device"), "{message}");
    let message = refused("two words");
    assert!(message.contains("give \"cpu\""), "{message}");
}

#[test]
fn devices_list_what_they_have() {
    for (number, string) in ["cpu", "crypto_aesni_mb"].into_iter().enumerate() {
        let device = open(string, 50 + number as u32, 1);
        let lacks: Vec<_> = KNOWN
            .iter()
            .filter(|one| !device.has(**one))
            .map(ToString::to_string)
            .collect();
        assert_eq!(lacks, [""; 0], "{string} lacks");
        assert_eq!(device.algorithms().count(), KNOWN.len());
    }
    let device = open("crypto_aesni_gcm", 53, 1);
    let has: Vec<_> = device.algorithms().map(|one| one.to_string()).collect();
    assert!(has.contains(&"aes-gcm-16 (256)".to_owned()), "{has:?}");
    assert!(
        has.iter()
            .all(|name| name.contains("aes-gcm") || name.contains("gmac")),
        "{has:?}"
    );
}

#[test]
fn the_null_device_opens_and_does_nothing_of_use() {
    let device = open("crypto_null", 60, 2);
    assert_eq!(
        (device.name(), device.driver().as_str()),
        ("crypto_null60", "crypto_null")
    );
    assert_eq!(device.algorithms().count(), 0);
    let error = device
        .session(&all()[0].transform(Way::Seal, 8))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "crypto device crypto_null60 has no aes-gcm-8 (128); it has none that IPsec uses"
    );
    // As many engines as were asked for, and again when they are gone.
    for _ in 0..3 {
        let engines = [device.engine().unwrap(), device.engine().unwrap()];
        let error = device.engine().unwrap_err();
        assert!(
            matches!(
                error,
                CryptoError::Engines {
                    wanted: 3,
                    has: 2,
                    ..
                }
            ),
            "{error}"
        );
        drop(engines);
    }
}

#[test]
fn a_closed_device_can_be_opened_again() {
    for string in ["cpu", "crypto_openssl61"] {
        for _ in 0..3 {
            let device = CryptoDevice::open(eal(), string, 2, -1).unwrap();
            let session = all_of(&device)[0].session(&device, Way::Seal, 8);
            // The session keeps what it needs.
            drop(device);
            drop(session);
        }
    }
}

#[test]
fn keys_and_combinations_that_do_not_fit_are_refused() {
    let device = open("cpu", 0, 1);
    let refused = |keyed: Keyed| {
        device
            .session(&keyed.transform(Way::Open, 8))
            .unwrap_err()
            .to_string()
    };
    let gcm = Cipher::AesGcm { icv: 16 };
    assert_eq!(
        refused(Keyed::new(gcm, 20, Auth::None, 1)),
        "aes-gcm-16 takes no cipher key of 20 bytes"
    );
    assert_eq!(
        refused(Keyed {
            auth_key: Vec::new(),
            ..Keyed::new(Cipher::Null, 0, Auth::HmacSha1_96, 1)
        }),
        "null/hmac-sha1-96 takes no authentication key of 0 bytes"
    );
    for (cipher, key, auth) in [
        (gcm, 16, Auth::HmacSha1_96),
        (Cipher::AesCbc, 16, Auth::None),
        (Cipher::AesCbc, 16, Auth::AesGmac),
        (Cipher::Null, 0, Auth::None),
        (Cipher::ChaCha20Poly1305, 32, Auth::AesGmac),
    ] {
        let message = refused(Keyed::new(cipher, key, auth, 1));
        assert!(
            message.contains("is no way to protect a packet"),
            "{message}"
        );
    }
    // No key shows.
    let keyed = Keyed {
        cipher_key: vec![0xab; 16],
        ..all()[0].clone()
    };
    let text = format!("{:?}", keyed.transform(Way::Seal, 8));
    assert_eq!(text, "Seal aes-gcm-8, keys of 16 and 0 bytes");
}

#[test]
fn jobs_that_reach_outside_of_the_packet_are_refused() {
    let (device, other) = (open("cpu", 0, 1), open("cpu", 0, 1));
    let (engine, pool) = (device.engine().unwrap(), pool("refused"));
    let gcm = Keyed::new(Cipher::AesGcm { icv: 16 }, 16, Auth::None, 1);
    let cbc = Keyed::new(Cipher::AesCbc, 16, Auth::HmacSha1_96, 1);
    let (gcm_session, cbc_session) = (
        gcm.session(&device, Way::Seal, 8),
        cbc.session(&device, Way::Seal, 0),
    );
    let foreign = gcm.session(&other, Way::Seal, 8);
    let mut mbuf = packet(&pool, &noise(1, 100));
    let room = (mbuf.data_len() + mbuf.tailroom()) as u16;
    let (fits, blocks) = (gcm.job(60, 0, 1), cbc.job(64, 0, 1));
    let cases = [
        (
            &gcm_session,
            Job {
                icv_at: room - 15,
                ..fits
            },
            JobError::Outside,
        ),
        (
            &gcm_session,
            Job {
                cipher: Part::new(24, room - 23),
                ..fits
            },
            JobError::Outside,
        ),
        (
            &gcm_session,
            Job {
                cipher: Part::new(u16::MAX, u16::MAX),
                ..fits
            },
            JobError::Outside,
        ),
        (
            &gcm_session,
            Job {
                auth: Part::new(0, 12),
                ..fits
            },
            JobError::Auth,
        ),
        (
            &cbc_session,
            Job {
                cipher: Part::new(24, 63),
                ..blocks
            },
            JobError::Cipher,
        ),
        (
            &cbc_session,
            Job {
                cipher: Part::new(24, 0),
                ..blocks
            },
            JobError::Cipher,
        ),
        (
            &cbc_session,
            Job {
                auth: Part::default(),
                ..blocks
            },
            JobError::Auth,
        ),
        (&foreign, fits, JobError::OtherDevice),
    ];
    for (session, job, error) in cases {
        let mut jobs = Jobs::new(&engine);
        assert_eq!(jobs.push(session, &mut mbuf, &job), Err(error), "{job:?}");
        assert!(jobs.is_empty());
    }
    // Behind the data, where there is room, is no error.
    let mut jobs = Jobs::new(&engine);
    assert_eq!(
        jobs.push(
            &gcm_session,
            &mut mbuf,
            &Job {
                icv_at: room - 16,
                ..fits
            }
        ),
        Ok(())
    );
    mbuf.chain(packet(&pool, &[0; 10]));
    let mut jobs = Jobs::new(&engine);
    assert_eq!(
        jobs.push(&gcm_session, &mut mbuf, &fits),
        Err(JobError::Chained)
    );
    mbuf.free();
    let mut many: Vec<_> = (0..=BURST_MAX)
        .map(|_| packet(&pool, &noise(1, 100)))
        .collect();
    let mut jobs = Jobs::new(&engine);
    let pushed: Vec<_> = many
        .iter_mut()
        .map(|mbuf| jobs.push(&gcm_session, mbuf, &fits))
        .collect();
    assert!(pushed[..BURST_MAX].iter().all(Result::is_ok));
    assert_eq!(pushed[BURST_MAX], Err(JobError::Full));
    many.into_iter()
        .for_each(ironlane_dataplane::eal::Mbuf::free);
}

#[test]
fn pools_grow_with_the_sessions() {
    let device = open("cpu", 0, 1);
    let (mut engine, pool) = (device.engine().unwrap(), pool("grow"));
    let keyed: Vec<_> = (0..5000)
        .map(|i| Keyed::new(Cipher::AesGcm { icv: 16 }, 16, Auth::None, i))
        .collect();
    let sessions: Vec<_> = keyed
        .iter()
        .map(|one| one.session(&device, Way::Seal, 8))
        .collect();
    let job = keyed[0].job(40, 0, 0);
    let texts: std::collections::HashSet<_> = sessions
        .iter()
        .map(|session| {
            let mut mbuf = packet(&pool, &[0; 100]);
            one(&mut engine, session, &mut mbuf, &job);
            let text = mbuf.data().to_vec();
            mbuf.free();
            text
        })
        .collect();
    assert_eq!(texts.len(), sessions.len(), "two sessions have one key");
}
