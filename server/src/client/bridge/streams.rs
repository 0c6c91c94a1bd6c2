//! What operators ask of the streams: dead letters and events, page by page, and groups.

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

    /// One page of what a stream keeps, oldest first.
    ///
    /// # Errors
    /// There is no such stream, the bridge cannot read it, or is gone.
    pub async fn read_stream(
        &self,
        request: v1::ReadStreamRequest,
    ) -> Result<v1::ReadStreamResponse, ClientError> {
        let request = self.request(request, CALL_PATIENCE);
        let answer = self.streams.clone().read_stream(request).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    /// The groups of all streams.
    ///
    /// # Errors
    /// The bridge cannot read them, or is gone.
    pub async fn groups(&self) -> Result<Vec<v1::GroupInfo>, ClientError> {
        let request = self.request(v1::ListGroupsRequest {}, CALL_PATIENCE);
        let answer = self.streams.clone().list_groups(request).await;
        answer
            .map(|answer| answer.into_inner().groups)
            .map_err(|status| self.refused(&status))
    }

    /// Moves a group; returns the offset at which it goes on.
    ///
    /// # Errors
    /// There is no such group, it has members, or the bridge is gone.
    pub async fn reset_group(
        &self,
        stream: &str,
        group: &str,
        to: v1::Position,
    ) -> Result<u64, ClientError> {
        let message = v1::ResetGroupRequest {
            stream: stream.to_owned(),
            group: group.to_owned(),
            to: Some(to),
        };
        let request = self.request(message, CALL_PATIENCE);
        let answer = self.streams.clone().reset_group(request).await;
        answer
            .map(|answer| answer.into_inner().offset)
            .map_err(|status| self.refused(&status))
    }
}
