//! The arguments of `weir erase`. What is wrong with them is told without repeating them: one may be the person.

use std::time::Duration;

use clap::Args;
use weir::contract::ingest::v1::ErasePersonRequest;
use weir_event::{Source, keep_text_rules};
use weir_process::args::{ConfigErrors, Misconfigured};

use crate::{
    client::Servers,
    client::{Service, ServiceArgs},
    exit::configured,
    units,
};

/// Whom to forget, and whom to ask.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// facebook or tiktok.
    #[arg(value_name = "SOURCE", required_unless_present = "receipt")]
    source: Option<String>,
    /// The person's userId, as the source's events have it.
    #[arg(value_name = "USER_ID", required_unless_present = "receipt", allow_hyphen_values = true)]
    user_id: Option<String>,
    /// Store events that arrive later without the person, too. Without it they are the person's own doing, and count.
    #[arg(long, conflicts_with = "receipt")]
    suppress: bool,
    /// Ask how far this erasure is, and ask for none.
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "user_id"])]
    receipt: Option<String>,
    /// How long to wait until the erasure is complete; 0s asks once.
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    wait: String,
    /// Where reporting serves gRPC: it knows how far the erasure is.
    #[arg(long, env = "REPORTING_URL", default_value = "http://127.0.0.1:50052", value_name = "URL")]
    reporting_url: String,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What is to be done, checked.
pub(super) struct Task {
    pub(super) subject: Subject,
    pub(super) service: Service,
    pub(super) reporting: Servers,
    pub(super) wait: Duration,
}

/// What is asked.
pub(super) enum Subject {
    /// To forget somebody.
    Person(ErasePersonRequest),
    /// How far this erasure is.
    Receipt(String),
}

impl EraseArgs {
    pub(super) fn check(&self) -> Result<Task, Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let subject = match &self.receipt {
            Some(erasure_id) => Some(Subject::Receipt(erasure_id.clone())),
            None => self.person(&mut mistakes).map(Subject::Person),
        };
        let service = self.service.check(&mut mistakes);
        let reporting = Servers::reporting(&self.reporting_url, &mut mistakes);
        let wait = mistakes.check("--wait", units::duration(&self.wait));
        let task = || Some(Task { subject: subject?, service: service?, reporting: reporting?, wait: wait? });
        configured(task(), mistakes)
    }

    pub(super) fn json(&self) -> bool {
        self.service.json
    }

    fn person(&self, mistakes: &mut ConfigErrors) -> Option<ErasePersonRequest> {
        let source = self.source.as_deref().and_then(Source::from_name);
        let source = mistakes.check("SOURCE", source.ok_or("must be facebook or tiktok"));
        let user_id = self.user_id.clone().unwrap_or_default();
        let user_id = mistakes.check("USER_ID", keep_text_rules(&user_id).map(|()| user_id));
        Some(ErasePersonRequest { source: source?.number(), user_id: user_id?, suppress: self.suppress })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        erase: EraseArgs,
    }

    fn person(args: &[&str]) -> Result<ErasePersonRequest, String> {
        let command = Command::try_parse_from(["erase"].iter().chain(args));
        let task = command.map_err(|error| error.to_string())?.erase.check();
        match task.map_err(|mistakes| mistakes.to_string())?.subject {
            Subject::Person(person) => Ok(person),
            Subject::Receipt(_) => Err("a receipt".to_owned()),
        }
    }

    #[test]
    fn a_person_may_have_an_id_that_looks_like_an_option() {
        for user_id in ["u-1", "-x", "--long"] {
            let request = person(&["tiktok", user_id, "--suppress"]).unwrap();
            assert_eq!((request.user_id.as_str(), request.suppress), (user_id, true));
        }
    }

    #[test]
    fn a_mistake_is_told_without_the_person() {
        for args in [&["u-17", "facebook"][..], &["facebook", "u-17\n"], &["facebook", "u-17", "--wait", "x"]]
        {
            let told = person(args).unwrap_err();
            assert!(!told.contains("u-17"), "{told}");
        }
    }

    #[test]
    fn either_a_person_or_a_receipt_is_named() {
        assert!(person(&[]).is_err());
        assert!(person(&["facebook", "u-1", "--receipt", "r"]).is_err());
        assert_eq!(person(&["--receipt", "r"]), Err("a receipt".to_owned()));
    }
}
