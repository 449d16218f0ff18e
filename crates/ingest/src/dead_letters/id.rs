//! A letter's name outside: `rejected-17`. It is also the cursor that a walk goes on after.

use std::fmt;

use weir_journal::DeadLetterStream;

/// Where a letter lies. Ordered as letters are browsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LetterId {
    pub(super) graveyard: DeadLetterStream,
    pub(super) sequence: u64,
}

impl LetterId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, sequence) = text.split_once('-')?;
        let graveyard = DeadLetterStream::ALL.into_iter().find(|graveyard| graveyard.name() == name)?;
        let digits = sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|sequence| digits && *sequence < u64::MAX)?;
        Some(Self { graveyard, sequence })
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.graveyard.name(), self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id = LetterId { graveyard: DeadLetterStream::Parked, sequence: 17 };
        assert_eq!((id.to_string().as_str(), LetterId::parse("parked-17")), ("parked-17", Some(id)));
        for text in ["", "parked", "parked-", "parked--1", "parked-+1", "lost-1", "18446744073709551615"] {
            assert_eq!(LetterId::parse(text), None, "{text}");
        }
    }
}
