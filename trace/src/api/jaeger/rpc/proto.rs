//! Jaeger's messages and services, as generated of `proto/third-party`. Modules are nested as the packages are.

/// Packages below `jaeger`.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    reason = "generated"
)]
pub mod jaeger {
    pub mod api_v3 {
        include!("../../../generated/jaeger.api_v3.rs");
    }

    pub mod expression {
        pub mod v1 {
            include!("../../../generated/jaeger.expression.v1.rs");
        }
    }

    pub mod storage {
        pub mod v2 {
            include!("../../../generated/jaeger.storage.v2.rs");
        }
    }
}
