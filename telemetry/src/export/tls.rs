//! Certificates for `https://` endpoints, for both transports.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::config::{ExporterConfigError, TlsFiles};

pub(super) fn grpc(files: &TlsFiles) -> Result<ClientTlsConfig, ExporterConfigError> {
    let mut config = ClientTlsConfig::new();
    config = match &files.certificate {
        Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
        None => config.with_native_roots(),
    };
    if let Some((certificate, key)) = identity(files)? {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    Ok(config)
}

/// Without `is_https` no certificate is looked for: a bare system has none and needs none.
pub(super) fn http(files: &TlsFiles, is_https: bool) -> Result<ClientConfig, ExporterConfigError> {
    let fault = |error: &dyn std::fmt::Display| ExporterConfigError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&error))?;
    let builder = match &files.certificate {
        _ if !is_https => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| fault(&error))?,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&read(path)?)? {
                roots.add(certificate).map_err(|error| fault(&error))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    match identity(files)?.filter(|_| is_https) {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| fault(&error))?;
            builder
                .with_client_auth_cert(certificates(&certificate)?, key)
                .map_err(|error| fault(&error))
        }
    }
}

/// The client's certificate and key, as PEM.
type Pem = (Vec<u8>, Vec<u8>);

fn identity(files: &TlsFiles) -> Result<Option<Pem>, ExporterConfigError> {
    match (&files.client_certificate, &files.client_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((read(certificate)?, read(key)?))),
        _ => Err(ExporterConfigError::Tls(
            "a client's certificate and its key belong together; set both or none".to_owned(),
        )),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ExporterConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(ExporterConfigError::Tls(
            "the file holds no certificate in PEM form".to_owned(),
        )),
        Err(error) => Err(ExporterConfigError::Tls(error.to_string())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ExporterConfigError> {
    std::fs::read(path).map_err(|source| ExporterConfigError::File {
        path: path.to_owned(),
        source,
    })
}
