//! An HTTP answer with its status, headers and JSON body, and the assertions about it.

use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;

/// An HTTP answer whose body has arrived completely.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null if the body is no JSON.
    pub body: Value,
}

impl Answer {
    /// Reads the body to its end; fails if the connection breaks.
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("the body of an answer arrives whole");
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// The value of a header; fails if the answer has none of this name.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {self:?}"));
        value.to_str().expect("a header is text")
    }

    /// Fails unless the status is 202 and the counts are these.
    pub fn expect_accepted(&self, accepted: usize, rejected: usize) {
        assert_eq!(self.status, StatusCode::ACCEPTED, "{self:?}");
        assert_eq!(self.body["accepted"], accepted, "{self:?}");
        assert_eq!(self.body["rejected"], rejected, "{self:?}");
    }

    /// Fails unless the answer is an RFC 9457 problem of this status.
    pub fn expect_problem(&self, status: StatusCode) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status.as_u16(), "{self:?}");
        assert!(self.body["correlationId"].is_string(), "{self:?}");
    }

    /// The pointers of an item's violations, ascending; empty if the item has none.
    pub fn pointers(&self, index: usize) -> Vec<String> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let of_item = errors.iter().filter(|error| error["index"] == index);
        let violations = of_item.flat_map(|error| error["violations"].as_array().into_iter().flatten());
        let pointers =
            violations.map(|violation| violation["pointer"].as_str().unwrap_or_default().to_owned());
        let mut pointers: Vec<_> = pointers.collect();
        pointers.sort();
        pointers
    }
}
