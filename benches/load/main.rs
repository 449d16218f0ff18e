//! The whole system under load, measured against each of its steps alone in the same run.
//!
//! ```sh
//! cargo bench --profile dist --bench load -- [--quick] [--events N] [--minutes N] [SECTION…]
//! ```
//!
//! The bench starts nats-server, PostgreSQL and Weir on free loopback ports and in temporary folders, measures, and
//! stops them. It prints a Markdown table at the end of each section; docs/performance.md explains them. A missed bar
//! is printed and is no failure, because this is a measurement and not a test.
//!
//! The bench first builds `weir` in its own profile. The documented figures are those of the profile `dist`; the profile
//! `profiling` builds minutes faster. `WEIR_BIN` names another binary.

mod alone;
mod arguments;
mod client;
mod dataset;
mod effort;
mod fleet;
mod loops;
mod machine;
mod report;
mod request_template;
mod sections;
mod statistics;
mod usage;

use clap::Parser as _;

use self::arguments::Arguments;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(step) = arguments.serve {
        return alone::serve(step, arguments.port).await;
    }
    machine::print()?;
    fleet::FURTHER_SETTINGS.get_or_init(|| arguments.postgres.clone());
    for section in arguments.sections() {
        section.run(arguments.effort()).await?;
    }
    Ok(())
}
