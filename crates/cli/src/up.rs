//! `weir up`: every role in one process, over the same gRPC as a fleet, on files where no server is named.

mod args;
mod demo;
mod roles;

use args::NAME;
pub(crate) use args::UpCommand;
use roles::{Config, Roles};
use weir_process::Host;

use crate::{exit::CommandResult, runner};

pub(crate) async fn run(command: UpCommand) -> CommandResult {
    if command.demo {
        return Box::pin(demo::run(command)).await;
    }
    let (process, config) = command.check()?;
    Box::pin(runner::host(NAME, &process, async |host| start(host, config).await)).await
}

async fn start(host: &mut Host, config: Config) -> anyhow::Result<()> {
    let roles = Roles::bind(config, host).await?;
    roles.addresses().log();
    roles.start(host);
    Ok(())
}
