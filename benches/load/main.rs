//! The whole system under load, measured against each of its steps alone in the same run.
//!
//! ```sh
//! cargo bench --profile dist --bench load -- [--quick] [--events N] [SECTION…]
//! ```
//!
//! Starts nats-server, PostgreSQL and Weir on free loopback ports and in temporary folders, measures, stops them, and
//! prints Markdown tables as the sections end; docs/performance.md says how to read them. A bar that is missed is
//! printed and no failure: this is a measurement, not a test.
//!
//! The `weir` that is driven is built first, in the profile of this bench: figures are those of the profile `dist`,
//! `cargo bench --profile profiling` takes a build that takes minutes less. `WEIR_BIN` names another one.

mod alone;
mod arguments;
mod client;
mod dataset;
mod effort;
mod fleet;
mod frames;
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
    machine::introduce()?;
    for section in arguments.sections() {
        section.run(arguments.effort()).await?;
    }
    Ok(())
}
