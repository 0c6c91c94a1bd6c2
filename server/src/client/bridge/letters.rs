//! Dead letters, page by page.

use loom_proto::v1;
use tonic::Response;

use super::{BridgeClient, CALL_PATIENCE, ClientError};

impl BridgeClient {
    /// One page of the dead letters that are open, newest first.
    ///
    /// # Errors
    /// The bridge refused the filter, cannot read them, or is gone.
    pub async fn dead_letters(
        &self,
        request: v1::ListDeadLettersRequest,
    ) -> Result<v1::ListDeadLettersResponse, ClientError> {
        let request = self.request(request, CALL_PATIENCE);
        let answer = self.streams.clone().list_dead_letters(request).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    /// Publishes the events of some dead letters once more.
    ///
    /// # Errors
    /// The bridge refused the filter, cannot read or close them, or is gone. What it has published by then is recognised when it
    /// is redriven again soon.
    pub async fn redrive(
        &self,
        request: v1::RedriveDeadLettersRequest,
    ) -> Result<v1::RedriveDeadLettersResponse, ClientError> {
        let request = self.request(request, CALL_PATIENCE);
        let answer = self.streams.clone().redrive_dead_letters(request).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    /// Closes some dead letters.
    ///
    /// # Errors
    /// The bridge refused the filter, cannot read or close them, or is gone.
    pub async fn drop_dead_letters(
        &self,
        request: v1::DropDeadLettersRequest,
    ) -> Result<v1::DropDeadLettersResponse, ClientError> {
        let request = self.request(request, CALL_PATIENCE);
        let answer = self.streams.clone().drop_dead_letters(request).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| self.refused(&status))
    }
}
