//! What is believed and what is not, with the sentences.

use std::time::Duration;

use kogge_model::id::ClusterId;
use kogge_model::time::Timestamp;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn authority(cluster: &str) -> Authority {
    Authority::create(&ClusterId::new(cluster), NOW).unwrap()
}

fn member(authority: &Authority, role: Role, now: Timestamp) -> Identity {
    let key = PrivateKey::generate().unwrap();
    let peer = Peer::new(authority.certificate().cluster().clone(), role, "a1").unwrap();
    let request = key.signing_request().unwrap();
    let certificate = authority.issue(&request, &peer, now, Lifetime::default()).unwrap();
    Identity::new(key, certificate, authority.certificate().clone()).unwrap()
}

/// What an authority says of somebody's certificate.
fn check(authority: &Authority, shown: &Identity, wanted: Role, now: Timestamp) -> Result<Peer, String> {
    let look = Look { wanted, here: Role::Server, now };
    let verified = authority.certificate().verify(shown.certificate().der(), look);
    verified.map(|certificate| certificate.peer().clone()).map_err(|refusal| refusal.to_string())
}

#[test]
fn a_member_is_believed_in_its_own_role_only() {
    let north = authority("north");
    for role in [Role::Server, Role::Agent, Role::Operator] {
        let shown = member(&north, role, NOW);
        assert_eq!(check(&north, &shown, role, NOW).unwrap().uri(), format!("kogge://north/{role}/a1"));
    }
    let agent = member(&north, Role::Agent, NOW);
    assert_eq!(
        check(&north, &agent, Role::Operator, NOW),
        Err("the certificate is that of agent a1, which may not act as operator".to_owned())
    );
}

#[test]
fn members_of_other_clusters_are_refused_even_under_the_same_name() {
    let (north, south, twin) = (authority("north"), authority("south"), authority("north"));
    assert_eq!(
        check(&north, &member(&south, Role::Agent, NOW), Role::Agent, NOW),
        Err("the certificate is that of agent a1 of cluster south, this is cluster north".to_owned())
    );
    assert_eq!(
        check(&north, &member(&twin, Role::Agent, NOW), Role::Agent, NOW),
        Err("the certificate of agent a1 was not signed by the authority of cluster north".to_owned())
    );
}

#[test]
fn clocks_may_differ_by_an_hour_and_a_day_gives_a_sentence_that_names_them() {
    let north = authority("north");
    let agent = member(&north, Role::Agent, NOW);
    let at = |now| check(&north, &agent, Role::Agent, now);
    assert!(at(NOW.minus(Duration::from_secs(3_590))).is_ok());
    assert!(at(NOW.plus(DAY * 7).minus(Duration::from_secs(1))).is_ok());
    assert_eq!(
        at(NOW.minus(DAY)).unwrap_err(),
        "the certificate of agent a1 is not valid before 2027-01-15T07:00:00.000Z, but the clock of the server \
         says 2027-01-14T08:00:00.000Z: one of the two clocks is wrong"
    );
    assert_eq!(
        at(NOW.plus(DAY * 8)).unwrap_err(),
        "the certificate of agent a1 expired at 2027-01-22T08:00:00.000Z, and the clock of the server says \
         2027-01-23T08:00:00.000Z"
    );
}

#[test]
fn half_of_a_life_lies_ahead_however_short_it_is() {
    let north = authority("north");
    let key = PrivateKey::generate().unwrap();
    let peer = Peer::new(ClusterId::new("north"), Role::Agent, "a1").unwrap();
    for secs in [4, 600, 7 * 24 * 3600] {
        let life = Lifetime { validity: Duration::from_secs(secs), ..Lifetime::default() };
        let request = key.signing_request().unwrap();
        let due = north.issue(&request, &peer, NOW, life).unwrap().renewal_due();
        let ahead = due.saturating_since(NOW).as_secs_f64() / life.validity.as_secs_f64();
        assert!((0.3..=0.5).contains(&ahead), "{secs} s: {ahead}");
    }
}

#[test]
fn an_agent_cannot_make_members() {
    let north = authority("north");
    let agent = member(&north, Role::Agent, NOW);
    let issuer = Issuer::from_ca_cert_der(agent.certificate().der(), agent.key().pair()).unwrap();
    let forged_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("kogge://north/operator/eve".try_into().unwrap())];
    let forged = params.signed_by(&forged_key, &issuer).unwrap();
    let look = Look { wanted: Role::Operator, here: Role::Server, now: NOW };
    let refusal = north.certificate().verify(forged.der(), look).unwrap_err();
    assert!(matches!(refusal, Untrusted::OtherAuthority { .. }), "{refusal}");
}

#[test]
fn an_identity_and_an_authority_are_the_same_after_they_were_kept() {
    let north = authority("north");
    let kept = Authority::from_pem(&north.to_pem()).unwrap();
    assert_eq!(kept.certificate(), north.certificate());
    let agent = member(&kept, Role::Agent, NOW);
    let again = Identity::from_pem(&agent.to_pem()).unwrap();
    assert_eq!(again.certificate(), agent.certificate());
    assert!(check(&north, &again, Role::Agent, NOW).is_ok());
    let other = IdentityPem { key: PrivateKey::generate().unwrap().to_pem(), ..agent.to_pem() };
    assert!(matches!(Identity::from_pem(&other), Err(IdentityError::OtherKey { .. })));
    for text in [format!("{:?}", agent.to_pem()), format!("{:?}", north.to_pem()), format!("{agent:?}")] {
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}

#[test]
fn certificates_of_other_software_name_nobody() {
    let north = authority("north");
    let look = Look { wanted: Role::Server, here: Role::Agent, now: NOW };
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let refusal = north.certificate().verify(other.cert.der(), look).unwrap_err();
    assert_eq!(refusal, Untrusted::Foreign(CertificateError::Nameless));
    let refusal = north.certificate().verify(&b"rubbish".as_slice().into(), look).unwrap_err();
    assert_eq!(refusal.to_string(), "the certificate cannot be read");
}
