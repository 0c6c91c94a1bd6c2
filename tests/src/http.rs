//! One HTTP request as it stands on the wire: nothing of a client library's good manners comes between.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::server::TestServer;

/// What a server has said.
#[derive(Debug)]
pub struct Answer {
    /// Of its first line.
    pub status: u16,
    /// All lines above the body, in lower case.
    pub head: String,
    /// What is below.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        let read = serde_json::from_str(&self.body);
        read.unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

/// Asks, like `ask(&server, "GET /api/v1/info", "", "")`. `headers` are whole lines, each with its end.
pub fn ask(server: &TestServer, request: &str, headers: &str, body: &str) -> Answer {
    let address = server.addresses().http.expect("it is on");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "{request} HTTP/1.0\r\nHost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse();
    Answer {
        status: status.expect("a number"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
