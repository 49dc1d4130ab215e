//! The Secret: what it holds, and how it is changed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use strongroom_crypto::{Certificate, KeyedCertificate, PrivateKey, Reason, Validity};
use strongroom_secret::SecretBytes;

use crate::settings::Times;
use crate::steps::{Change, Contents, SKEW, Serving, Signer};

/// The Secret's values by their keys.
pub(crate) type Data = BTreeMap<String, SecretBytes>;

/// The keys of the Secret. The first two are those of `kubernetes.io/tls`.
pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";
pub(crate) const AUTHORITY: &str = "ca.crt";
pub(crate) const AUTHORITY_KEY: &str = "ca.key";
pub(crate) const FORMER: &str = "previous-ca.crt";

/// The most former authorities: more come only from somebody who keeps damaging the Secret, and a bundle has a size.
const MOST_FORMER: usize = 4;

/// What a server shows: a certificate and its key, in PEM.
#[derive(Clone)]
pub struct ServingCertificate {
    /// The certificate, followed by those that signed it, where they are not authorities that clients know.
    pub certificate: String,
    /// Its key.
    pub key: SecretBytes,
}

impl ServingCertificate {
    /// When the certificate ends, in seconds since 1970; `None` where it cannot be read.
    pub fn ends(&self) -> Option<i64> {
        ends(&self.certificate)
    }
}

/// When the first certificate in a PEM ends, in seconds since 1970: the one that a server shows as its own.
pub fn ends(certificates: &str) -> Option<i64> {
    Some(Certificate::read_all(certificates)?.first()?.validity.ends)
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServingCertificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A Secret as it was read.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) contents: Contents,
    /// The authorities that the bundle has to hold, the present one first.
    pub(crate) bundle: Vec<Certificate>,
    /// The certificate that can be served, and who signed it.
    pub(crate) serving: Option<(Certificate, Certificate)>,
}

/// Reads a Secret's values; the certificate must be for `names`.
pub(crate) fn read(data: &Data, names: &[String]) -> Held {
    let authority = one(data, AUTHORITY, ["ca.crt is missing", "ca.crt is not one certificate"]);
    let former = text(data, FORMER).and_then(Certificate::read_all).unwrap_or_default();
    let served = serving(data, names).and_then(|certificate| {
        if let Some(signer) = authority.as_ref().ok().filter(|authority| certificate.is_signed_by(authority)) {
            return Ok((certificate, signer.clone(), Signer::Current));
        }
        let signer = former.iter().find(|authority| certificate.is_signed_by(authority));
        let signer = signer.cloned().ok_or("no authority in it signed tls.crt")?;
        Ok((certificate, signer, Signer::Former))
    });
    let validity = |certificate: &Certificate, signer: &Certificate| Validity {
        begins: certificate.validity.begins.max(signer.validity.begins),
        ends: certificate.validity.ends.min(signer.validity.ends),
    };
    let contents = Contents {
        authority: authority
            .clone()
            .and_then(|authority| can_sign(&authority, data, names).map(|()| authority.validity)),
        has_former: data.contains_key(FORMER),
        serving: match &served {
            Ok((certificate, signer, by)) => Ok(Serving { validity: validity(certificate, signer), signer: *by }),
            Err(problem) => Err(problem),
        },
    };
    let bundle = authority.into_iter().chain(former).filter(|certificate| certificate.is_authority).collect();
    Held { contents, bundle, serving: served.ok().map(|(certificate, signer, _)| (certificate, signer)) }
}

fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key)?.expose_text()
}

fn one(data: &Data, key: &str, [missing, wrong]: [&'static str; 2]) -> Result<Certificate, &'static str> {
    let text = text(data, key).filter(|text| !text.is_empty()).ok_or(missing)?;
    let certificates = Certificate::read_all(text).ok_or(wrong)?;
    <[Certificate; 1]>::try_from(certificates).map(|[certificate]| certificate).map_err(|_| wrong)
}

fn key(data: &Data, key: &str) -> Option<PrivateKey> {
    PrivateKey::from_pem(text(data, key)?).ok()
}

fn serving(data: &Data, names: &[String]) -> Result<Certificate, &'static str> {
    let certificate = one(data, CERTIFICATE, ["tls.crt is missing", "tls.crt is not one certificate"])?;
    let key = key(data, KEY).ok_or("tls.key is missing, or is no private key")?;
    if !certificate.has_key(&key) {
        return Err("tls.key is not the key of tls.crt");
    }
    if !names.iter().all(|name| certificate.names.contains(name)) {
        return Err("tls.crt is for other names");
    }
    Ok(certificate)
}

fn can_sign(authority: &Certificate, data: &Data, names: &[String]) -> Result<(), &'static str> {
    let key = key(data, AUTHORITY_KEY).ok_or("ca.key is missing, or is no private key")?;
    if !authority.is_authority {
        return Err("ca.crt is not an authority");
    }
    if !authority.has_key(&key) {
        return Err("ca.key is not the key of ca.crt");
    }
    if !names.iter().all(|name| authority.may_sign_for(name)) {
        return Err("ca.crt may not sign for the names of the service");
    }
    Ok(())
}

/// What a change starts from.
pub(crate) struct Before<'a> {
    /// What the Secret holds; empty where there is none.
    pub(crate) held: &'a Data,
    /// What it held when it was last good; empty where that is not known.
    pub(crate) remembered: &'a Data,
    /// The authorities in the bundles of the configurations.
    pub(crate) trusted: &'a [Certificate],
}

/// The Secret's values after a change, where `now` is the API server's time.
///
/// # Errors
/// Where nothing can be made: a name that no certificate can say, or the library fails.
pub(crate) fn changed(
    change: Change,
    before: &Before<'_>,
    names: &[String],
    times: &Times,
    now: i64,
) -> Result<Data, Reason> {
    // Whoever serves what another authority signed is trusted on.
    let left = || [authorities(before.held), before.trusted.to_vec()].concat();
    match change {
        Change::Everything => {
            let data = with_authority(&Data::new(), left(), names, times, now)?;
            with_serving(data, names, times, now)
        }
        Change::Restore => {
            let former = [authorities(before.remembered), left()].concat();
            with_authority(before.remembered, former, names, times, now)
        }
        Change::Authority => with_authority(before.held, authorities(before.held), names, times, now),
        Change::Serving => with_serving(before.held.clone(), names, times, now),
        Change::Retire => {
            let mut data = before.held.clone();
            data.remove(FORMER);
            Ok(data)
        }
    }
}

/// All authorities that can be read, the one that signed the certificate first.
fn authorities(data: &Data) -> Vec<Certificate> {
    let held = [AUTHORITY, FORMER].into_iter().filter_map(|key| Certificate::read_all(text(data, key)?)).flatten();
    let mut held: Vec<Certificate> = held.collect();
    if let Some([certificate, ..]) = text(data, CERTIFICATE).and_then(Certificate::read_all).as_deref() {
        held.sort_by_key(|authority| !certificate.is_signed_by(authority));
    }
    held
}

fn with_authority(
    data: &Data,
    former: Vec<Certificate>,
    names: &[String],
    times: &Times,
    now: i64,
) -> Result<Data, Reason> {
    let hosts: Vec<String> = names.iter().filter(|name| name.parse::<std::net::IpAddr>().is_err()).cloned().collect();
    let made = KeyedCertificate::authority(&hosts, lasting(times.authority, now))?;
    let mut kept: Vec<Certificate> = Vec::new();
    for authority in former {
        let holds = authority.is_authority && (authority.validity.begins..=authority.validity.ends).contains(&now);
        if holds && kept.len() < MOST_FORMER && !kept.contains(&authority) {
            kept.push(authority);
        }
    }
    let mut data = data.clone();
    data.remove(FORMER);
    if !kept.is_empty() {
        let pem: String = kept.iter().map(Certificate::to_pem).collect();
        data.insert(FORMER.to_owned(), SecretBytes::from(pem));
    }
    put(&mut data, AUTHORITY, AUTHORITY_KEY, made);
    Ok(data)
}

fn with_serving(mut data: Data, names: &[String], times: &Times, now: i64) -> Result<Data, Reason> {
    let authority = KeyedCertificate {
        certificate: text(&data, AUTHORITY).unwrap_or_default().to_owned(),
        key: key(&data, AUTHORITY_KEY).ok_or("no key of an authority")?,
    };
    let end = Certificate::read_all(&authority.certificate).map_or(i64::MAX, |read| read[0].validity.ends);
    let validity = lasting(times.serving, now);
    // Clients refuse it when its authority has ended.
    let made = authority.sign_server(names, Validity { ends: validity.ends.min(end), ..validity })?;
    put(&mut data, CERTIFICATE, KEY, made);
    Ok(data)
}

fn lasting(life: Duration, now: i64) -> Validity {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Validity { begins: now.saturating_sub(seconds(SKEW)), ends: now.saturating_add(seconds(life)) }
}

fn put(data: &mut Data, certificate: &str, key: &str, made: KeyedCertificate) {
    data.insert(certificate.to_owned(), SecretBytes::from(made.certificate));
    data.insert(key.to_owned(), SecretBytes::new(made.key.to_pkcs8_pem().as_bytes().to_vec()));
}

/// The certificate that the Secret holds, as a server takes it.
pub(crate) fn serving_certificate(data: &Data) -> Option<ServingCertificate> {
    Some(ServingCertificate { certificate: text(data, CERTIFICATE)?.to_owned(), key: data.get(KEY)?.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn names() -> Vec<String> {
        vec!["hook.team.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn change(change: Change, held: &Data, remembered: &Data, trusted: &[Certificate], now: i64) -> Data {
        let before = Before { held, remembered, trusted };
        changed(change, &before, &names(), &Times::default(), now).unwrap()
    }

    fn made() -> Data {
        change(Change::Everything, &Data::new(), &Data::new(), &[], NOW)
    }

    fn authority(data: &Data) -> Certificate {
        Certificate::read_all(text(data, AUTHORITY).unwrap()).unwrap().remove(0)
    }

    #[test]
    fn no_change_but_the_last_takes_an_authority_away_that_holds() {
        let (held, remembered, elsewhere) = (made(), made(), authority(&made()));
        let seen = [elsewhere.clone()];
        let check = |made: Change, from: &Data, now: i64, expected: &[&Certificate]| {
            let data = change(made, from, &remembered, &seen, now);
            let former: Vec<Certificate> = read(&data, &names()).bundle.into_iter().skip(1).collect();
            assert_eq!(former.iter().collect::<Vec<_>>(), expected, "{made:?}");
        };
        let (ours, last) = (authority(&held), authority(&remembered));
        check(Change::Everything, &held, NOW, &[&ours, &elsewhere]);
        check(Change::Everything, &Data::new(), NOW, &[&elsewhere]);
        check(Change::Restore, &held, NOW, &[&last, &ours, &elsewhere]);
        check(Change::Authority, &held, NOW, &[&ours]);
        check(Change::Serving, &held, NOW, &[]);
        let rotating = change(Change::Authority, &held, &remembered, &seen, NOW);
        check(Change::Serving, &rotating, NOW, &[&ours]);
        check(Change::Retire, &rotating, NOW, &[]);
        // What has ended is trusted by nobody.
        check(Change::Everything, &held, NOW + 400 * 24 * 3600, &[]);
    }

    #[test]
    fn former_authorities_are_bounded_and_the_signer_is_the_last_to_go() {
        let mut data = made();
        let signer = authority(&data);
        for _ in 0..2 * MOST_FORMER {
            data = change(Change::Authority, &data, &Data::new(), &[], NOW);
        }
        let held = read(&data, &names());
        assert_eq!(held.bundle.len(), 1 + MOST_FORMER);
        assert_eq!(held.bundle[1], signer);
        assert_eq!(held.contents.serving.unwrap().signer, Signer::Former);
    }

    #[test]
    fn a_certificate_ends_with_its_authority() {
        let data = made();
        let end = authority(&data).validity.ends;
        let late = change(Change::Serving, &data, &Data::new(), &[], end - 5);
        assert_eq!(read(&late, &names()).contents.serving.unwrap().validity.ends, end);
    }

    #[test]
    fn keys_of_others_in_the_secret_stay() {
        let mut data = made();
        data.insert("theirs".to_owned(), SecretBytes::from("value".to_owned()));
        let changed = change(Change::Authority, &data, &Data::new(), &[], NOW);
        assert_eq!(changed["theirs"].expose(), b"value");
    }

    #[test]
    fn debug_shows_no_key() {
        let served = serving_certificate(&made()).unwrap();
        assert!(served.key.expose_text().unwrap().contains("PRIVATE KEY"));
        assert!(!format!("{served:?} {served:#?}").contains("PRIVATE KEY"));
    }
}
