//! The webhook's authority and certificate, and the Secret that they stand in. Draws keys; reads no clock.
//!
//! The authority stays for years and signs a new certificate often, so that a rotation changes nothing that the API
//! server has to be told. Only when the authority itself is renewed, the old one is trusted beside it.
//!
//! A Secret without `ca.key` is somebody else's (cert-manager's, say): it is served, and never written.
//! X.509 (RFC 5280), PEM (RFC 7468).

use std::{collections::BTreeMap, time::Duration};

use jiff::{Span, Timestamp, tz::TimeZone};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Of the authority.
const YEARS: i64 = 10;
/// The authority is renewed when it is older, in hours.
const AUTHORITY_HOURS: i64 = 9 * 365 * 24;
/// Of a certificate: much longer than it is used, so that a controller that stands still for weeks is still heard.
const DAYS: i64 = 365;

const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const AUTHORITY_ISSUED: &str = "ca.issued";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const ISSUED: &str = "tls.issued";

/// What the Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Material {
    /// Whom the API server has to trust, PEM.
    pub(super) authority: String,
    /// PEM.
    pub(super) certificate: String,
    /// PEM.
    pub(super) key: String,
    own: Option<Own>,
}

/// What only a pair of Herald's own has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    authority_key: String,
    authority_issued: Timestamp,
    issued: Timestamp,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaterialError {
    #[error("`{0}` is missing or cannot be read")]
    Field(&'static str),
    #[error("make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("the date is out of range")]
    Date(#[from] jiff::Error),
}

/// Whether Herald may write the Secret: nothing is in it, or what Herald put there.
pub(super) fn is_ours(secret: &Secret) -> bool {
    secret.data.as_ref().is_none_or(|data| data.is_empty() || data.contains_key(AUTHORITY_KEY))
}

impl Material {
    /// A new authority and a certificate of it.
    pub(super) fn make(now: Timestamp, names: &[String]) -> Result<Self, MaterialError> {
        let authority = CertifiedIssuer::self_signed(authority(now)?, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = leaf(now, names)?.signed_by(&key, &authority)?;
        Ok(Self {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            own: Some(Own { authority_key: authority.key().serialize_pem(), authority_issued: now, issued: now }),
        })
    }

    /// What should be used from `now` on, if it is not this.
    pub(super) fn renewed(
        &self,
        now: Timestamp,
        after: Duration,
        names: &[String],
    ) -> Result<Option<Self>, MaterialError> {
        let Some(own) = &self.own else { return Ok(None) };
        if now.duration_since(own.authority_issued).as_hours() >= AUTHORITY_HOURS {
            let mut new = Self::make(now, names)?;
            new.authority.push_str(first(&self.authority));
            return Ok(Some(new));
        }
        // A clock that was ahead once must not stop the rotation for ever.
        let age = now.duration_since(own.issued);
        if !age.is_negative() && age.unsigned_abs() < after {
            return Ok(None);
        }
        // The name and the key make the issuer; the authority's own dates are not copied into what it signs.
        let issuer = Issuer::new(authority(own.authority_issued)?, KeyPair::from_pem(&own.authority_key)?);
        let key = KeyPair::generate()?;
        let certificate = leaf(now, names)?.signed_by(&key, &issuer)?;
        let own = Some(Own { issued: now, ..own.clone() });
        Ok(Some(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: self.authority.clone(),
            own,
        }))
    }

    /// Since when the certificate is used; unknown of somebody else's.
    pub(super) fn issued(&self) -> Option<Timestamp> {
        self.own.as_ref().map(|own| own.issued)
    }

    pub(super) fn read(secret: &Secret) -> Result<Self, MaterialError> {
        let text = |field| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(field));
            let text = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
            text.filter(|text| !text.is_empty()).ok_or(MaterialError::Field(field))
        };
        let time = |field| text(field)?.parse().map_err(|_unreadable: jiff::Error| MaterialError::Field(field));
        let own = match text(AUTHORITY_KEY) {
            Ok(authority_key) => {
                Some(Own { authority_key, authority_issued: time(AUTHORITY_ISSUED)?, issued: time(ISSUED)? })
            }
            Err(_absent) => None,
        };
        Ok(Self { authority: text(AUTHORITY)?, certificate: text(CERTIFICATE)?, key: text(KEY)?, own })
    }

    /// What the Secret's `data` has to be.
    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = vec![(AUTHORITY, self.authority.clone()), (CERTIFICATE, self.certificate.clone())];
        data.push((KEY, self.key.clone()));
        if let Some(own) = &self.own {
            data.push((AUTHORITY_KEY, own.authority_key.clone()));
            data.push((AUTHORITY_ISSUED, own.authority_issued.to_string()));
            data.push((ISSUED, own.issued.to_string()));
        }
        data.into_iter().map(|(field, text)| (field.to_owned(), ByteString(text.into_bytes()))).collect()
    }
}

/// The first certificate of a bundle: older ones are not handed on for ever.
fn first(bundle: &str) -> &str {
    const END: &str = "-----END CERTIFICATE-----\n";
    bundle.find(END).and_then(|at| bundle.get(..at + END.len())).unwrap_or(bundle)
}

fn authority(now: Timestamp) -> Result<CertificateParams, MaterialError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "herald-webhook authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    dates(&mut params, now, Span::new().years(YEARS))?;
    Ok(params)
}

fn leaf(now: Timestamp, names: &[String]) -> Result<CertificateParams, MaterialError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "herald-webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    dates(&mut params, now, Span::new().days(DAYS))?;
    Ok(params)
}

/// From yesterday on: clocks of nodes differ.
fn dates(params: &mut CertificateParams, now: Timestamp, span: Span) -> Result<(), MaterialError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let date = |date: jiff::civil::Date| {
        let (month, day) = (u8::try_from(date.month()).unwrap_or(1), u8::try_from(date.day()).unwrap_or(1));
        rcgen::date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = date(today.yesterday()?);
    params.not_after = date(today.checked_add(span)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_secret_that_somebody_else_fills_is_not_written() {
        let with = |field: &str| Secret {
            data: Some([(field.to_owned(), ByteString(b"x".to_vec()))].into()),
            ..Secret::default()
        };
        assert!(is_ours(&Secret::default()) && is_ours(&with(AUTHORITY_KEY)));
        assert!(!is_ours(&with(CERTIFICATE)));
    }

    fn names() -> Vec<String> {
        vec!["herald-webhook.herald-system.svc".into()]
    }

    fn at(hours: i64) -> Timestamp {
        let start: Timestamp = "2026-11-24T00:00:00Z".parse().expect("a time");
        start.checked_add(Span::new().hours(hours)).expect("in range")
    }

    fn made() -> Material {
        Material::make(at(0), &names()).expect("made")
    }

    #[test]
    fn a_secret_holds_all_of_it() {
        let made = made();
        let secret = Secret { data: Some(made.data()), ..Secret::default() };
        assert_eq!(Material::read(&secret).expect("readable"), made);
        for field in [AUTHORITY, CERTIFICATE, KEY, ISSUED, AUTHORITY_ISSUED] {
            let mut secret = secret.clone();
            secret.data.as_mut().and_then(|data| data.remove(field)).expect("was there");
            assert!(matches!(Material::read(&secret), Err(MaterialError::Field(name)) if name == field), "{field}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_by_the_same_authority_when_it_is_old() {
        let made = made();
        assert_eq!(made.renewed(at(23), DAY, &names()).expect("judged"), None);
        let new = made.renewed(at(24), DAY, &names()).expect("judged").expect("is old");
        assert_eq!(new.authority, made.authority);
        assert!(new.certificate != made.certificate && new.key != made.key);
        assert_eq!(new.issued(), Some(at(24)));
    }

    #[test]
    fn a_certificate_from_the_future_is_renewed() {
        assert!(made().renewed(at(-1), DAY, &names()).expect("judged").is_some());
    }

    #[test]
    fn an_old_authority_is_renewed_and_stays_trusted() {
        let made = made();
        let new = made.renewed(at(AUTHORITY_HOURS), DAY, &names()).expect("judged").expect("is old");
        assert!(new.authority.ends_with(&made.authority) && new.authority.len() > made.authority.len());
        let newer = new.renewed(at(2 * AUTHORITY_HOURS), DAY, &names()).expect("judged").expect("is old");
        assert!(!newer.authority.contains(&made.authority), "only one old authority is trusted");
    }

    #[test]
    fn somebody_elses_pair_is_never_renewed() {
        let mut secret = Secret { data: Some(made().data()), ..Secret::default() };
        secret.data.as_mut().and_then(|data| data.remove(AUTHORITY_KEY)).expect("was there");
        let other = Material::read(&secret).expect("readable");
        assert_eq!(other.renewed(at(AUTHORITY_HOURS), DAY, &names()).expect("judged"), None);
    }
}
