//! Addresses of gRPC and HTTP servers, as settings name them.

use url::Url;

use crate::redact;

/// Reads a comma-separated list of addresses of gRPC servers, which have only a host and a port.
///
/// ```
/// use weir_process::grpc::addresses;
///
/// assert_eq!(addresses("http://a:50051, http://b:50051").unwrap().len(), 2);
/// assert!(addresses("https://a:50051").unwrap_err().contains("https is not supported"));
/// ```
///
/// # Errors
/// The list is empty, or a part of it is not such an address. The error names the part.
pub fn addresses(text: &str) -> Result<Vec<Url>, String> {
    let addresses = urls(text)?;
    for address in &addresses {
        let (path, query) = (address.path(), address.query().or(address.fragment()));
        if path != "/" || query.is_some() {
            let shown = bare(address);
            return Err(format!("'{shown}{path}': a gRPC server has no path; name '{shown}'"));
        }
    }
    Ok(addresses)
}

/// Reads a comma-separated list of http:// URLs.
///
/// # Errors
/// The list is empty, or a part of it is not such a URL. The error names the part.
pub fn urls(text: &str) -> Result<Vec<Url>, String> {
    if text.trim().is_empty() {
        return Err("names no address".into());
    }
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let url = |(place, part): (usize, &&str)| match *part {
        "" => Err(format!("part {} of {} is empty: take out a comma", place + 1, parts.len())),
        part => url(part),
    };
    parts.iter().enumerate().map(url).collect()
}

/// Reads one http:// URL.
///
/// # Errors
/// The text is not such a URL. The error does not repeat a possible password.
fn url(text: &str) -> Result<Url, String> {
    let shown = redact::before_host(text);
    let example = "such as http://127.0.0.1:50051";
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" => {
            Err(format!("'{shown}': https is not supported; use http, or a local TLS proxy"))
        }
        Ok(url) if url.scheme() == "http" && url.has_host() => match url.username().is_empty() {
            true if url.password().is_none() => Ok(url),
            _ => Err(format!("'{shown}': a user and a password are not supported here; take them out")),
        },
        Ok(url) if text.contains("://") => {
            Err(format!("'{shown}': {}:// is no address of HTTP, {example}", url.scheme()))
        }
        Ok(_) | Err(_) if !text.contains("://") => {
            Err(format!("'{shown}' is no address: write http:// in front of it, {example}"))
        }
        Ok(_) | Err(_) => Err(format!("'{shown}' is no address, {example}")),
    }
}

/// The URL without path, query and user.
fn bare(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{addresses, urls};

    #[test]
    fn https_is_refused_by_its_name() {
        assert!(addresses("http://ingest:50051, http://[::1]:1").is_ok_and(|read| read.len() == 2));
        assert!(addresses("https://ingest:50051").unwrap_err().contains("https is not supported"));
    }

    #[test]
    fn the_error_names_the_invalid_part_of_a_list() {
        for (list, part) in [
            ("", "names no address"),
            ("http://a:1,", "part 2 of 2 is empty"),
            (",http://a:1", "part 1 of 2 is empty"),
            ("http://a:1,,http://b:2", "part 2 of 3 is empty"),
            ("http://a:1,ingest:50051", "'ingest:50051' is no address: write http:// in front"),
            ("http://a:1,127.0.0.1:50051", "'127.0.0.1:50051' is no address: write http:// in front"),
            ("http://a:1,nats://b:4222", "'nats://b:4222': nats:// is no address of HTTP"),
            (
                "http://a:1,http://b:2/reports?x",
                "'http://b:2/reports': a gRPC server has no path; name 'http://b:2'",
            ),
            ("http://a:1 http://b:2", "is no address"),
            ("http://a:1,http://", "'http://' is no address"),
        ] {
            let told = addresses(list).unwrap_err();
            assert!(told.contains(part), "{list}: {told}");
        }
        assert!(urls("http://a:8222/monitor").is_ok());
    }

    #[test]
    fn an_error_message_does_not_repeat_a_password() {
        for list in ["http://me:secret@a:1", "nats://me:secret@a:1", "me:secret@a:1", "http://me:se/cret@a:1"]
        {
            let told = addresses(list).unwrap_err();
            assert!(!told.contains("secret") && !told.contains("cret"), "{told}");
        }
    }
}
