//! The patch of a redrive: the JSON itself, a file of it, or standard input, in the encodings that editors write.

use std::{fs, io, io::Read as _};

const STDIN: &str = "-";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the patch that `--patch` names. A patch is a JSON array, so any other text is the name of a file.
///
/// # Errors
/// The patch can't be read, is empty, or is not UTF-8.
pub(super) fn read(argument: &str) -> Result<String, String> {
    let inline = argument.trim_start_matches(BYTE_ORDER_MARK);
    if inline.trim_start().starts_with('[') {
        return Ok(inline.to_owned());
    }
    let (name, bytes) = match argument {
        STDIN => ("standard input".to_owned(), stdin()),
        file => (format!("'{file}'"), fs::read(file)),
    };
    let bytes = bytes.map_err(|error| format!("{name} can't be read: {error}"))?;
    decoded(bytes).map_err(|fault| format!("{name} {fault}"))
}

fn stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes the byte order mark.
fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    if let Some((encoding, name)) = wide(&bytes) {
        return Err(format!("is {encoding}: save it as UTF-8, such as with `iconv -f {name} -t UTF-8`"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[place];
        format!("is no UTF-8: byte {} is 0x{byte:02X}; save it as UTF-8", place + 1)
    })?;
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    // Ingest would read an empty patch as no patch, and redrive the letters unchanged.
    if text.trim().is_empty() { Err("is empty: write a JSON array".to_owned()) } else { Ok(text.to_owned()) }
}

/// Recognises an encoding of several bytes per character, and returns its name and iconv's name for it. A
/// byte order mark shows it, or zero bytes next to the ASCII characters with which JSON begins.
fn wide(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [1..=255, 0, 0, 0, ..] => Some(("UTF-32 (little-endian)", "UTF-32LE")),
        [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, 1..=255, ..] => Some(("UTF-32 (big-endian)", "UTF-32BE")),
        [0xFF, 0xFE, ..] | [1..=255, 0, ..] => Some(("UTF-16 (little-endian)", "UTF-16LE")),
        [0xFE, 0xFF, ..] | [0, 1..=255, ..] => Some(("UTF-16 (big-endian)", "UTF-16BE")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = r#"[{"op":"remove","path":"/é"}]"#;

    #[test]
    fn a_patch_is_read_with_and_without_a_byte_order_mark() {
        for text in [PATCH.to_owned(), format!("\u{feff}{PATCH}")] {
            assert_eq!(decoded(text.clone().into_bytes()), Ok(PATCH.to_owned()));
            assert_eq!(read(&text), Ok(PATCH.to_owned()));
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fix.json");
        fs::write(&file, format!("\u{feff}{PATCH}\r\n")).unwrap();
        assert_eq!(read(file.to_str().unwrap()), Ok(format!("{PATCH}\r\n")));
        let message = read("nowhere.json").unwrap_err();
        assert!(message.starts_with("'nowhere.json' can't be read"), "{message}");
    }

    #[test]
    fn another_encoding_is_named_with_the_remedy() {
        let wide = |order: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(order).collect();
        let marked = format!("\u{feff}{PATCH}");
        for (bytes, encoding, name) in [
            (wide(u16::to_le_bytes, &marked), "UTF-16 (little-endian)", "UTF-16LE"),
            (wide(u16::to_be_bytes, &marked), "UTF-16 (big-endian)", "UTF-16BE"),
            (wide(u16::to_le_bytes, PATCH), "UTF-16 (little-endian)", "UTF-16LE"),
            (wide(u16::to_be_bytes, PATCH), "UTF-16 (big-endian)", "UTF-16BE"),
            (b"\xFF\xFE\0\0[\0\0\0".to_vec(), "UTF-32 (little-endian)", "UTF-32LE"),
            (b"\0\0\0[\0\0\0]".to_vec(), "UTF-32 (big-endian)", "UTF-32BE"),
        ] {
            let message = decoded(bytes).unwrap_err();
            assert_eq!(
                message,
                format!("is {encoding}: save it as UTF-8, such as with `iconv -f {name} -t UTF-8`")
            );
        }
    }

    #[test]
    fn an_empty_or_binary_patch_is_refused() {
        let message = decoded(b"[\"Jos\xE9\"]".to_vec()).unwrap_err();
        assert_eq!(message, "is no UTF-8: byte 6 is 0xE9; save it as UTF-8");
        for nothing in ["", " \n", "\u{feff}"] {
            assert_eq!(decoded(nothing.into()), Err("is empty: write a JSON array".to_owned()));
        }
    }
}
