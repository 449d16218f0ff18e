//! The arguments of `weir erase`. Error messages never repeat them, because one may identify the person.

use std::time::Duration;

use clap::Args;
use weir::contract::ingest::v1::ErasePersonRequest;
use weir_event::{Source, check_text};
use weir_process::args::{ConfigErrors, Misconfigured};

use crate::{
    client::{GrpcServers, OperatorClient, OperatorClientArgs},
    exit::configured,
    units,
};

/// The person or the receipt, and the servers.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// facebook or tiktok.
    #[arg(value_name = "SOURCE", required_unless_present = "receipt")]
    source: Option<String>,
    /// The person's userId, as in the events of the source.
    #[arg(value_name = "USER_ID", required_unless_present = "receipt", allow_hyphen_values = true)]
    user_id: Option<String>,
    /// Also store later events without the person. Without this option the person causes such events anew,
    /// and they count.
    #[arg(long, conflicts_with = "receipt")]
    suppress: bool,
    /// Show the progress of this erasure, and request none.
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "user_id"])]
    receipt: Option<String>,
    /// The longest wait until the erasure is complete; 0s asks once.
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    wait: String,
    /// The gRPC address of reporting, which knows the progress of the erasure.
    #[arg(long, env = "REPORTING_URL", default_value = "http://127.0.0.1:50052", value_name = "URL")]
    reporting_url: String,
    #[command(flatten)]
    service: OperatorClientArgs,
}

/// The checked arguments.
pub(super) struct EraseOptions {
    pub(super) action: EraseAction,
    pub(super) service: OperatorClient,
    pub(super) reporting: GrpcServers,
    pub(super) wait: Duration,
}

/// The action that the arguments ask for.
pub(super) enum EraseAction {
    /// Erase this person.
    Person(ErasePersonRequest),
    /// Show the progress of the erasure with this id.
    Receipt(String),
}

impl EraseArgs {
    pub(super) fn check(&self) -> Result<EraseOptions, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let action = match &self.receipt {
            Some(erasure_id) => Some(EraseAction::Receipt(erasure_id.clone())),
            None => self.person(&mut errors).map(EraseAction::Person),
        };
        let service = self.service.check(&mut errors);
        let reporting = GrpcServers::reporting(&self.reporting_url, &mut errors);
        let wait = errors.check("--wait", units::duration(&self.wait));
        let options =
            || Some(EraseOptions { action: action?, service: service?, reporting: reporting?, wait: wait? });
        configured(options(), errors)
    }

    pub(super) fn json(&self) -> bool {
        self.service.json
    }

    fn person(&self, errors: &mut ConfigErrors) -> Option<ErasePersonRequest> {
        let source = self.source.as_deref().and_then(Source::from_name);
        let source = errors.check("SOURCE", source.ok_or("must be facebook or tiktok"));
        let user_id = self.user_id.clone().unwrap_or_default();
        let user_id = errors.check("USER_ID", check_text(&user_id).map(|()| user_id));
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
        let options = command.map_err(|error| error.to_string())?.erase.check();
        match options.map_err(|errors| errors.to_string())?.action {
            EraseAction::Person(person) => Ok(person),
            EraseAction::Receipt(_) => Err("a receipt".to_owned()),
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
    fn an_error_message_does_not_repeat_the_person() {
        for args in [&["u-17", "facebook"][..], &["facebook", "u-17\n"], &["facebook", "u-17", "--wait", "x"]]
        {
            let message = person(args).unwrap_err();
            assert!(!message.contains("u-17"), "{message}");
        }
    }

    #[test]
    fn the_arguments_name_a_person_or_a_receipt() {
        assert!(person(&[]).is_err());
        assert!(person(&["facebook", "u-1", "--receipt", "r"]).is_err());
        assert_eq!(person(&["--receipt", "r"]), Err("a receipt".to_owned()));
    }
}
