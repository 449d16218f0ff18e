//! Whether the long stories are told too.

/// `tests/run --soak`.
#[expect(clippy::disallowed_methods, reason = "tests/run --soak tells it through the environment")]
pub fn soak() -> bool {
    std::env::var_os("WEIR_SOAK").is_some()
}
