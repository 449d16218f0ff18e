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
mod fleet;
mod frames;
mod loading;
mod loops;
mod machine;
mod memory;
mod processors;
mod report;
mod samples;
mod sections;
mod template;

#[path = "../events.rs"]
mod events;

/// What the stories of `tests/it` stand on too.
#[path = "../../tests/it/harness"]
#[expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "stories need more of it, and fail where it fails"
)]
mod harness {
    pub(crate) mod answer;
    pub(crate) mod clock;
    pub(crate) mod eventually;
    pub(crate) mod nats;
    pub(crate) mod ports;
    pub(crate) mod postgres;
    pub(crate) mod process;
    pub(crate) mod weir;

    pub(crate) use self::{
        answer::Answer,
        eventually::eventually,
        weir::{Ground, Weir},
    };
}

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
