//! The reporting role, running in the process of the test on a free port.

use std::time::Duration;

use prometheus_client::registry::Registry;
use tonic::transport::{Channel, Endpoint};
use weir::contract::reporting::v1::reporting_service_client::ReportingServiceClient;
use weir_database::{Access, connect};
use weir_process::{
    RoleReadiness, Stop,
    args::{ConfigErrors, Environment},
    clock::ClockMetrics,
    connections::Connections,
};
use weir_reporting::{ExactLimits, Reporting, ReportingArgs};
use weir_testkit::database::Database;

/// A running reporting role. It stops when the value is dropped.
pub(super) struct Running {
    pub(super) channel: Channel,
    pub(super) readiness: RoleReadiness,
    registry: Registry,
    stop: Stop,
}

impl Running {
    pub(super) async fn on(database: &Database, report_timeout_ms: &str) -> Self {
        Self::with_max_exact_users(u64::MAX, database, report_timeout_ms).await
    }

    /// Reporting that estimates groups where a section has more users.
    pub(super) async fn with_max_exact_users(
        users: u64,
        database: &Database,
        report_timeout_ms: &str,
    ) -> Self {
        let limits = ExactLimits { users, ..ExactLimits::default() };
        Self::with_limits(limits, database, report_timeout_ms).await
    }

    /// Reporting with other limits of exact answers.
    pub(super) async fn with_limits(
        limits: ExactLimits,
        database: &Database,
        report_timeout_ms: &str,
    ) -> Self {
        let args = ReportingArgs {
            reporting_listen: Some("127.0.0.1:0".into()),
            default_currency: "USD".into(),
            report_timeout_ms: report_timeout_ms.into(),
        };
        let config = args.check(Environment::Development, &mut ConfigErrors::default()).unwrap();
        let pool = connect(&database.url, Access::Report(config.timeout), Duration::ZERO).await.unwrap();
        let (mut registry, readiness) = (Registry::default(), RoleReadiness::new("reporting"));
        let clock = ClockMetrics::register(&mut registry);
        let reporting =
            Reporting::bind_with_limits(limits, &config, pool, &mut registry, clock, readiness.clone());
        let reporting = reporting.await.unwrap();
        let address = format!("http://{}", reporting.address());
        let stop = Stop::new();
        tokio::spawn(reporting.run(Connections::default(), stop.clone()));
        let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
        Self { channel, readiness, registry, stop }
    }

    pub(super) fn client(&self) -> ReportingServiceClient<Channel> {
        ReportingServiceClient::new(self.channel.clone())
    }

    /// The text that `/metrics` would show.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
