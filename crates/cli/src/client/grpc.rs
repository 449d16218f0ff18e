//! Channels of tools to the instances of one gRPC role.

use anyhow::anyhow;
use tokio::task::JoinSet;
use tonic::{Code, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use url::Url;
use weir_process::{
    Reason,
    args::ConfigErrors,
    diagnosis::{Target, Wanted},
    grpc,
};

use crate::{exit::AskedWrongly, output::complain};

/// The gRPC servers that a setting names, instances of one role.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    urls: Vec<Url>,
    setting: &'static str,
    wanted: Wanted,
}

impl Servers {
    /// The instances of ingest.
    pub(crate) fn ingest(text: &str, mistakes: &mut ConfigErrors) -> Option<Self> {
        let urls = mistakes.check("--ingest-url (INGEST_URL)", grpc::addresses(text))?;
        Some(Self { urls, setting: "INGEST_URL or --ingest-url", wanted: Wanted::Ingest })
    }

    /// The instances of reporting.
    pub(crate) fn reporting(text: &str, mistakes: &mut ConfigErrors) -> Option<Self> {
        let urls = mistakes.check("--reporting-url (REPORTING_URL)", grpc::addresses(text))?;
        Some(Self { urls, setting: "REPORTING_URL or --reporting-url", wanted: Wanted::Reporting })
    }

    /// The reporting of this process.
    pub(crate) fn own_reporting(url: Url) -> Self {
        Self { urls: vec![url], setting: "REPORTING_LISTEN", wanted: Wanted::Reporting }
    }

    /// A channel balanced over the instances that can be used; the others are named on standard error.
    ///
    /// # Errors
    /// None can be used; every one is named with its cause.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let mut asked = JoinSet::new();
        for (place, url) in self.urls.iter().cloned().enumerate() {
            let target = Target { url, setting: self.setting, wanted: self.wanted, instance: None };
            asked.spawn(async move { (place, target.serves_grpc().await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_unstable_by_key(|(place, _)| *place);
        let usable: Vec<Url> = answers
            .iter()
            .filter(|(_, answer)| answer.is_ok())
            .map(|(place, _)| self.urls[*place].clone())
            .collect();
        let causes = answers.into_iter().filter_map(|(_, answer)| answer.err());
        let causes = causes.map(|cause| cause.to_string()).collect::<Vec<_>>();
        if usable.is_empty() {
            return Err(anyhow!(causes.join("\nweir: ")));
        }
        causes.iter().for_each(|cause| complain(format_args!("weir: {cause}; the others are asked")));
        grpc::channel(&usable)
    }

    /// What a status says, each field at fault, and what mends it.
    pub(crate) fn explained(&self, status: &Status) -> anyhow::Error {
        let (name, setting) =
            (if self.wanted == Wanted::Ingest { "ingest" } else { "reporting" }, self.setting);
        let told = status.message();
        match (Reason::of(status), status.code()) {
            (None, Code::Unauthenticated) => anyhow!(
                "{name} refused ({setting}): {told}. Set WEIR_OPERATOR_TOKEN here to the token that {name} was \
                 started with"
            ),
            (None, Code::PermissionDenied) => anyhow!("{name} refused ({setting}): {told}"),
            (None, Code::Unavailable) => anyhow!("{name} can't be reached ({setting}): {told}"),
            (None, Code::Unimplemented) => anyhow!(
                "{name} does not know this call ({setting}): {told}; it is of an older build, or not {name}"
            ),
            (Some(Reason::StoreUnavailable), _) if told.contains("took longer") => anyhow!(
                "{name} refused ({setting}): {told}; ask for a shorter range, or raise REPORT_TIMEOUT_MS of {name}"
            ),
            (Some(Reason::StoreUnavailable | Reason::JournalUnavailable | Reason::JournalFull), _) => {
                anyhow!("{name} refused ({setting}): {told}; its ready probe names the cause")
            }
            (reason, _) => {
                let details = status.get_details_bad_request();
                let fields = details.map_or_else(Vec::new, |details| details.field_violations);
                let fields: String = fields
                    .iter()
                    .map(|field| format!("\n  - {}: {}", field.field, field.description))
                    .collect();
                let told = format!("{name} refused: {told}{fields}");
                if reason == Some(Reason::InvalidRequest) { AskedWrongly(told).into() } else { anyhow!(told) }
            }
        }
    }

    /// The answer, or what the server says against it.
    pub(crate) fn answered<Message>(
        &self,
        answer: Result<Response<Message>, Status>,
    ) -> anyhow::Result<Message> {
        answer.map(Response::into_inner).map_err(|status| self.explained(&status))
    }
}

#[cfg(test)]
mod tests {
    use weir_process::refuse;

    use super::*;

    fn told(status: &Status) -> String {
        let servers = Servers::ingest("http://ingest:50051", &mut ConfigErrors::default()).unwrap();
        servers.explained(status).to_string()
    }

    #[test]
    fn a_refusal_names_the_setting_that_mends_it() {
        for (status, setting) in [
            (Status::unauthenticated("who are you"), "Set WEIR_OPERATOR_TOKEN"),
            (refuse(Reason::StoreUnavailable, "the report took longer than 30s", &[]), "REPORT_TIMEOUT_MS"),
            (refuse(Reason::StoreUnavailable, "the store can't be read", &[]), "its ready probe"),
            (refuse(Reason::JournalUnavailable, "the journal is away", &[]), "its ready probe"),
            (Status::unavailable("gone"), "INGEST_URL"),
            (refuse(Reason::InvalidRequest, "bad", &[("from", "is after to")]), "from: is after to"),
        ] {
            let told = told(&status);
            assert!(told.contains(setting), "{told}");
        }
    }
}
