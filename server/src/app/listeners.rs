//! The sockets: all of them are bound before anything else exists.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Addresses;
use crate::config::{Listen, ServerSection};

/// Bound sockets; nobody accepts yet.
#[derive(Debug)]
pub struct Listeners {
    pub(super) bridge: Option<TcpListener>,
    pub(super) otlp_grpc: Option<TcpListener>,
    pub(super) otlp_http: Option<TcpListener>,
    pub(super) http: Option<TcpListener>,
    addresses: Addresses,
}

/// An address cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("port {} is in use: {hint}", address.port())]
    InUse {
        /// The address.
        address: SocketAddr,
        /// Who that may be, and what to do.
        hint: String,
    },
    /// It is not this machine's, or needs rights.
    #[error("cannot listen on {address}: {source}; name another address with {flag}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The flag that names another.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// One door: its flag, and what may stand in its place.
struct Door {
    flag: &'static str,
    in_use: fn(SocketAddr) -> String,
}

const BRIDGE: Door = Door {
    flag: "--bridge-addr",
    in_use: |address| {
        format!(
            "is another Loom running? `loom doctor` tells; or use --bridge-addr {}:0, which takes a free port (agents \
             then need LOOM_ADDRESS)",
            host(address)
        )
    },
};
const OTLP_GRPC: Door = Door {
    flag: "--otlp-grpc-addr",
    in_use: |address| {
        format!(
            "is another Loom, a Jaeger or a collector running? use --otlp-grpc-addr {}:0, or switch this receiver off \
             with --otlp-grpc-addr off and export to the other with OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}",
            host(address)
        )
    },
};
const OTLP_HTTP: Door = Door {
    flag: "--otlp-http-addr",
    in_use: |address| {
        format!(
            "is another Loom, a Jaeger or a collector running? use --otlp-http-addr {}:0, or --otlp-http-addr off",
            host(address)
        )
    },
};
const HTTP: Door = Door {
    flag: "--http-addr",
    in_use: |address| {
        format!(
            "use --http-addr {}:0, which takes a free port, or name one",
            host(address)
        )
    },
};

impl Listeners {
    /// Binds every address that is not `off`.
    ///
    /// # Errors
    /// The first address that cannot be had; the others are let go.
    pub async fn bind(server: &ServerSection) -> Result<Self, BindError> {
        let (bridge, bridge_addr) = open(server.bridge_addr, &BRIDGE).await?;
        let (otlp_grpc, otlp_grpc_addr) = open(server.otlp_grpc_addr, &OTLP_GRPC).await?;
        let (otlp_http, otlp_http_addr) = open(server.otlp_http_addr, &OTLP_HTTP).await?;
        let (http, http_addr) = open(server.http_addr, &HTTP).await?;
        let addresses = Addresses {
            bridge: bridge_addr,
            otlp_grpc: otlp_grpc_addr,
            otlp_http: otlp_http_addr,
            http: http_addr,
        };
        Ok(Self {
            bridge,
            otlp_grpc,
            otlp_http,
            http,
            addresses,
        })
    }

    /// Where they are, with the ports that the system chose.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }
}

async fn open(
    listen: Listen,
    door: &Door,
) -> Result<(Option<TcpListener>, Option<SocketAddr>), BindError> {
    let Listen::At(address) = listen else {
        return Ok((None, None));
    };
    let bound = TcpListener::bind(address).await.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((Some(listener), Some(address)))
    });
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse {
            address,
            hint: (door.in_use)(address),
        },
        _ => BindError::Other {
            address,
            flag: door.flag,
            source,
        },
    })
}

fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> ServerSection {
        let any = Listen::loopback(0);
        ServerSection {
            bridge_addr: any,
            otlp_grpc_addr: any,
            otlp_http_addr: any,
            http_addr: any,
            ..ServerSection::default()
        }
    }

    #[tokio::test]
    async fn port_0_is_any_free_port_and_off_is_none() {
        let server = ServerSection {
            otlp_http_addr: Listen::Off,
            ..free()
        };
        let addresses = Listeners::bind(&server).await.expect("bound").addresses();
        assert!(addresses.otlp_http.is_none());
        assert!(addresses.bridge.is_some_and(|address| address.port() != 0));
        assert_ne!(addresses.bridge, addresses.http);
    }

    #[tokio::test]
    async fn a_busy_port_is_named_with_what_to_do() {
        let busy = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = busy.local_addr().expect("an address");
        let server = ServerSection {
            otlp_grpc_addr: Listen::At(address),
            ..free()
        };
        let error = Listeners::bind(&server)
            .await
            .expect_err("busy")
            .to_string();
        for expected in [
            format!("port {} is in use", address.port()),
            "--otlp-grpc-addr 127.0.0.1:0".to_owned(),
            format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}"),
        ] {
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let server = ServerSection {
            http_addr: "192.0.2.1:1".parse().expect("an address"),
            ..free()
        };
        assert!(matches!(
            Listeners::bind(&server).await,
            Err(BindError::Other {
                flag: "--http-addr",
                ..
            })
        ));
    }
}
