//! Certificates made for one run.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::scenario::Certificate;

/// The certificate and key of a server, and the authority to trust, all in PEM.
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

impl Identity {
    pub(crate) fn new(kind: Certificate) -> Result<Self, rcgen::Error> {
        let trusted = Authority::new()?;
        let issuer = match kind {
            Certificate::Untrusted => &Authority::new()?,
            Certificate::Trusted | Certificate::Expired | Certificate::WrongHost => &trusted,
        };
        let name = match kind {
            Certificate::WrongHost => "elsewhere.example",
            Certificate::Trusted | Certificate::Untrusted | Certificate::Expired => "localhost",
        };
        let mut params = CertificateParams::new([name.to_owned()])?;
        if let Certificate::Expired = kind {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate()?;
        let chain = params.signed_by(&key, &issuer.issuer)?.pem();
        Ok(Self { chain, key: key.serialize_pem(), authority: trusted.pem })
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }
}
