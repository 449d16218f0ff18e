//! Channels of tools to the instances of one gRPC role.

use anyhow::anyhow;
use tokio::task::JoinSet;
use tonic::{Code, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use url::Url;
use weir_process::{
    Reason,
    args::ConfigErrors,
    diagnosis::{ServerKind, Target},
    grpc,
};

use crate::{exit::Refusal, output::eprint_line};

/// The gRPC servers of a setting: instances of one role.
#[derive(Clone, Debug)]
pub(crate) struct GrpcServers {
    urls: Vec<Url>,
    setting: &'static str,
    kind: ServerKind,
}

impl GrpcServers {
    /// The instances of ingest.
    pub(crate) fn ingest(text: &str, errors: &mut ConfigErrors) -> Option<Self> {
        let urls = errors.check("--ingest-url (INGEST_URL)", grpc::addresses(text))?;
        Some(Self { urls, setting: "INGEST_URL or --ingest-url", kind: ServerKind::Ingest })
    }

    /// The instances of reporting.
    pub(crate) fn reporting(text: &str, errors: &mut ConfigErrors) -> Option<Self> {
        let urls = errors.check("--reporting-url (REPORTING_URL)", grpc::addresses(text))?;
        Some(Self { urls, setting: "REPORTING_URL or --reporting-url", kind: ServerKind::Reporting })
    }

    /// The reporting service of this process.
    pub(crate) fn own_reporting(url: Url) -> Self {
        Self { urls: vec![url], setting: "REPORTING_LISTEN", kind: ServerKind::Reporting }
    }

    /// Connects a channel that is balanced over the usable instances. Standard error names the others.
    ///
    /// # Errors
    /// No instance is usable. Standard error and the error name the cause of each.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let mut asked = JoinSet::new();
        for (place, url) in self.urls.iter().cloned().enumerate() {
            let target = Target { url, setting: self.setting, kind: self.kind, instance: None };
            asked.spawn(async move { (place, target.check_grpc().await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_unstable_by_key(|(place, _)| *place);
        let usable: Vec<Url> = answers
            .iter()
            .filter(|(_, answer)| answer.is_ok())
            .map(|(place, _)| self.urls[*place].clone())
            .collect();
        let causes = answers.into_iter().filter_map(|(_, answer)| answer.err());
        let mut causes = causes.map(|cause| cause.to_string()).collect::<Vec<_>>();
        if usable.is_empty() {
            let last = causes.pop().unwrap_or_default();
            causes.iter().for_each(|cause| eprint_line(format_args!("weir: {cause}")));
            return Err(anyhow!(last));
        }
        causes.iter().for_each(|cause| eprint_line(format_args!("weir: {cause}; the others are asked")));
        grpc::channel(&usable)
    }

    /// Explains a status: its message, the fields at fault, and the remedy.
    pub(crate) fn explanation(&self, status: &Status) -> anyhow::Error {
        let (name, setting) =
            (if self.kind == ServerKind::Ingest { "ingest" } else { "reporting" }, self.setting);
        let message = status.message();
        match (Reason::of(status), status.code()) {
            (None, Code::Unauthenticated) => anyhow!(
                "{name} refused ({setting}): {message}. Set WEIR_OPERATOR_TOKEN here to the token that {name} was \
                 started with"
            ),
            (None, Code::PermissionDenied) => anyhow!("{name} refused ({setting}): {message}"),
            (None, Code::Unavailable) => anyhow!("{name} can't be reached ({setting}): {message}"),
            (None, Code::Unimplemented) => anyhow!(
                "{name} does not know this call ({setting}): {message}; it is of an older build, or not {name}"
            ),
            (Some(Reason::StoreUnavailable), _) if message.contains("took longer") => anyhow!(
                "{name} refused ({setting}): {message}; ask for a shorter range, or raise REPORT_TIMEOUT_MS of {name}"
            ),
            (Some(Reason::StoreUnavailable | Reason::JournalUnavailable | Reason::JournalFull), _) => {
                anyhow!("{name} refused ({setting}): {message}; its ready probe names the cause")
            }
            (reason, _) => {
                let details = status.get_details_bad_request();
                let fields = details.map_or_else(Vec::new, |details| details.field_violations);
                let fields = fields.iter().map(|field| format!("{}: {}", field.field, field.description));
                let (message, fields) = (format!("{name} refused: {message}"), fields.collect());
                Refusal { message, fields, is_invalid: reason == Some(Reason::InvalidRequest) }.into()
            }
        }
    }

    /// Returns the answer, or the explanation of the status.
    pub(crate) fn answered<Message>(
        &self,
        answer: Result<Response<Message>, Status>,
    ) -> anyhow::Result<Message> {
        answer.map(Response::into_inner).map_err(|status| self.explanation(&status))
    }
}

#[cfg(test)]
mod tests {
    use weir_process::refuse;

    use super::*;

    fn message(status: &Status) -> String {
        let servers = GrpcServers::ingest("http://ingest:50051", &mut ConfigErrors::default()).unwrap();
        servers.explanation(status).to_string()
    }

    #[test]
    fn the_explanation_of_a_refusal_names_the_setting_to_change() {
        for (status, setting) in [
            (Status::unauthenticated("who are you"), "Set WEIR_OPERATOR_TOKEN"),
            (refuse(Reason::StoreUnavailable, "the report took longer than 30s", &[]), "REPORT_TIMEOUT_MS"),
            (refuse(Reason::StoreUnavailable, "the store can't be read", &[]), "its ready probe"),
            (refuse(Reason::JournalUnavailable, "the journal is away", &[]), "its ready probe"),
            (Status::unavailable("gone"), "INGEST_URL"),
            (refuse(Reason::InvalidRequest, "bad", &[("from", "is after to")]), "from: is after to"),
        ] {
            let message = message(&status);
            assert!(message.contains(setting), "{message}");
        }
    }
}
