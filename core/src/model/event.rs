//! As much of an event as a mailbox looks at.

use crate::ledger::AccountId;

#[derive(Debug)]
pub(crate) struct Event {
    account: AccountId,
    pub(crate) publisher: u32,
    pub(crate) number: u32,
}

impl Event {
    pub(crate) fn new(account: AccountId, publisher: u32, number: u32) -> Self {
        Self {
            account,
            publisher,
            number,
        }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.account
    }
}
