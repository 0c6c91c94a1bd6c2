//! A TCP relay that can be shut: every connection through it breaks, and new ones break at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::collector::listen;

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    is_open: watch::Sender<bool>,
    turned_away: Arc<AtomicUsize>,
}

impl Door {
    pub(crate) fn new(runtime: &Runtime, to: SocketAddr, is_open: bool) -> Self {
        let (listener, address) = listen(runtime);
        let (is_open, watcher) = watch::channel(is_open);
        let turned_away = Arc::new(AtomicUsize::new(0));
        runtime.spawn(relay(listener, to, watcher, Arc::clone(&turned_away)));
        Self {
            address,
            is_open,
            turned_away,
        }
    }

    pub(crate) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// How many connections found it shut.
    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Relaxed)
    }
}

async fn relay(
    listener: TcpListener,
    to: SocketAddr,
    is_open: watch::Receiver<bool>,
    turned_away: Arc<AtomicUsize>,
) {
    while let Ok((mut from, _)) = listener.accept().await {
        let mut is_open = is_open.clone();
        if !*is_open.borrow_and_update() {
            turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        tokio::spawn(async move {
            let mut to = TcpStream::connect(to).await.expect("the collector");
            tokio::select! {
                _ = copy_bidirectional(&mut from, &mut to) => {}
                _ = is_open.wait_for(|is_open| !is_open) => {}
            }
        });
    }
}
