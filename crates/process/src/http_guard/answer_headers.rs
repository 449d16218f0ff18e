//! Headers of every answer, which tell a browser what it must not do with it.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

/// A page has every file from the listener itself, and its icons as data in its styles. No other page shows it in a
/// frame. The hash is that of the one style inside a page: the logo of Swagger UI has it
/// (`tests/it/browsers.rs`).
const POLICY_OF_PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
     img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
/// Any other answer loads nothing.
const POLICY: HeaderValue = HeaderValue::from_static("frame-ancestors 'none'");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
/// Addresses of reports have ids in them.
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// Adds the headers to those of an answer. The values are static, so this copies no text.
pub fn add_to_answer(headers: &mut HeaderMap) {
    let policy = if is_html(headers) { POLICY_OF_PAGES } else { POLICY };
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
}

fn is_html(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media_type.get(..b"text/html".len()).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_load_its_own_files_and_no_answer_may_be_framed() {
        for (media_type, loads) in [
            ("text/html; charset=utf-8", true),
            ("Text/HTML", true),
            ("application/json", false),
            ("text/css", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type.parse().unwrap())]);
            add_to_answer(&mut headers);
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("frame-ancestors 'none'"), "{media_type}: {policy}");
            assert_eq!(policy.contains("default-src 'self'"), loads, "{media_type}: {policy}");
        }
    }
}
