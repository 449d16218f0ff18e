//! Texts that may contain the login of a URL, as errors and logs may show them.

use std::borrow::Cow;

/// What replaces a login.
const HIDDEN: char = '…';

/// Hides the logins of all URLs in a text: what lies between `://` and the last `@` before the host.
///
/// ```
/// use weir_process::redact;
///
/// assert_eq!(redact::logins("from nats://weir:secret@n1:4222 on"), "from nats://…@n1:4222 on");
/// assert_eq!(redact::logins("http://edge/events/a@b"), "http://edge/events/a@b");
/// ```
#[must_use]
pub fn logins(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(scheme_end) = rest.find("://") {
        let (scheme, behind) = rest.split_at(scheme_end + "://".len());
        let authority = &behind[..behind.find(ends_authority).unwrap_or(behind.len())];
        shown.push_str(scheme);
        rest = match authority.rfind('@') {
            Some(login_end) => {
                shown.push(HIDDEN);
                &behind[login_end..]
            }
            None => behind,
        };
    }
    if shown.contains(HIDDEN) { Cow::Owned(shown + rest) } else { Cow::Borrowed(text) }
}

/// Hides everything before the last `@` of a value that should be one URL and may be none. An unescaped `/`
/// in a password would end the login too early.
///
/// ```
/// use weir_process::redact;
///
/// assert_eq!(redact::before_host("http//weir:sec/ret@edge/events"), "…@edge/events");
/// assert_eq!(redact::before_host("edge:3001"), "edge:3001");
/// ```
#[must_use]
pub fn before_host(value: &str) -> Cow<'_, str> {
    match value.rfind('@') {
        Some(login_end) => Cow::Owned(format!("{HIDDEN}{}", &value[login_end..])),
        None => Cow::Borrowed(value),
    }
}

/// Whether a URL in a text has no authority any more: its path begins, or the text around it.
fn ends_authority(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '/' | '?' | '#' | '"' | '\'' | '`' | '\\' | '<' | '>' | ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_every_url_is_hidden_and_nothing_else() {
        for (text, shown) in [
            ("", ""),
            ("no address, user@host", "no address, user@host"),
            ("nats://n1,nats://a:b@n2,tls://token@n3", "nats://n1,nats://…@n2,tls://…@n3"),
            (r#"{"url":"postgres://u:p@ss@db/x","a":"b@c"}"#, r#"{"url":"postgres://…@db/x","a":"b@c"}"#),
            (r#""http://u:p\"@h""#, r#""http://u:p\"@h""#),
            ("http://h?mail=a@b", "http://h?mail=a@b"),
            ("Url { http://é:ü@h }", "Url { http://…@h }"),
            ("…@h://u@h", "…@h://…@h"),
            ("://@", "://…@"),
        ] {
            assert_eq!(logins(text), shown, "{text}");
        }
        assert!(matches!(logins("http://edge:3001/events"), Cow::Borrowed(_)));
    }
}
