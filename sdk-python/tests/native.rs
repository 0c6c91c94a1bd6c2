//! Tests of the native modules that know no Python. The extension itself has undefined Python symbols and cannot be linked
//! into a test binary, so these modules are compiled into this one.

#[path = "../src"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "only the parts under test are used here"
)]
mod src {
    pub(crate) mod content {
        pub(crate) mod keys;
    }
    pub(crate) mod inbox;
    pub(crate) mod link;
    pub(crate) mod outbox;
    pub(crate) mod wake;
}

use src::{content, inbox, link, outbox, wake};

#[path = "native"]
mod native {
    mod contents;
    mod credit;
    mod mailbox;
    mod outcomes;
    mod outgoing;
}
