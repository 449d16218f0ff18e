//! The effects of the runbook's commands of NATS and Docker, through the protocols of the servers. Their command lines
//! are not on every machine.

use async_nats::jetstream::consumer::{PullConsumer, pull::Config};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::net::TcpStream;
use weir_testkit::repository::{deploy, repository, yaml};
use weir_testkit::{eventually, nats::Operator};

/// Runs `nats WORDS`; `own` is the server of the deployment.
///
/// # Errors
/// The command is unknown here, or fails.
pub(super) async fn nats(words: &[&str], own: &str) -> Result<(), String> {
    let (server, words) = match words {
        ["--server", server, rest @ ..] => (*server, rest),
        words => (own, words),
    };
    // A server that an earlier line has started may not listen yet.
    let address = server.trim_start_matches("nats://");
    eventually(async || TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())).await;
    let operator = Operator::connect(server).await;
    let context = &operator.context;
    match words {
        ["consumer", "info", stream, consumer] => consumer_of(&operator, stream, consumer).await.map(drop),
        ["consumer", "rm", stream, consumer, "--force"] => {
            let found = context.get_stream(stream).await.map_err(|error| error.to_string())?;
            found.delete_consumer(consumer).await.map_err(|error| error.to_string())?;
            // Ingest creates it again.
            eventually(async || consumer_of(&operator, stream, consumer).await.map(drop)).await;
            Ok(())
        }
        ["consumer", "report", stream] => {
            let found = context.get_stream(stream).await.map_err(|error| error.to_string())?;
            eventually(async || {
                let mut infos = found.consumers();
                while let Some(info) = infos.next().await {
                    let info = info.map_err(|error| error.to_string())?;
                    if info.num_pending + info.num_ack_pending as u64 > 0 {
                        return Err(format!("{} has more to do", info.name));
                    }
                }
                Ok(())
            })
            .await;
            Ok(())
        }
        ["stream", "get", stream, sequence] => {
            let found = context.get_stream(stream).await.map_err(|error| error.to_string())?;
            let sequence = sequence.parse().map_err(|_| format!("{sequence} is no sequence"))?;
            let message = found.get_raw_message(sequence).await.map_err(|error| error.to_string())?;
            message.headers.get("Nats-Msg-Id").map(drop).ok_or_else(|| "it has no Nats-Msg-Id".to_owned())
        }
        ["kv", "get", bucket, key] => {
            let bucket = context.get_key_value(*bucket).await.map_err(|error| error.to_string())?;
            let value = bucket.get(*key).await.map_err(|error| error.to_string())?;
            value.map(drop).ok_or_else(|| format!("there is no {key}"))
        }
        ["event", "--js-advisory"] => Ok(()),
        _ => Err("this story does not know the command of nats".to_owned()),
    }
}

async fn consumer_of(operator: &Operator, stream: &str, consumer: &str) -> Result<PullConsumer, String> {
    let found = operator.context.get_stream(stream).await.map_err(|error| error.to_string())?;
    found.get_consumer::<Config>(consumer).await.map_err(|error| error.to_string())
}

/// Checks the arguments of a program of the machine: every file of the repository and every unit in them exists.
///
/// # Errors
/// One does not exist.
pub(super) fn machine(words: &[&str]) -> Result<(), String> {
    let units = words.iter().filter(|word| word.starts_with("weir") && words.contains(&"enable"));
    let units = units.map(|unit| {
        let name = unit.split_once('@').map_or_else(|| (*unit).to_owned(), |(name, _)| format!("{name}@"));
        format!("deploy/systemd/{name}.service")
    });
    let files = words.iter().filter(|word| word.starts_with("deploy/"));
    // A pattern represents the files of its folder.
    let files = files.map(|file| file.split_once("/*").map_or(*file, |(folder, _)| folder).to_owned());
    match units.chain(files).find(|file| !repository(file).exists()) {
        None => Ok(()),
        Some(missing) => Err(format!("there is no {missing}")),
    }
}

/// A command of Docker Compose.
pub(super) enum Compose {
    /// Reads services, or starts and ends them.
    Services,
    /// Runs a command with the variables of a service.
    Command { service: String, variables: Vec<String>, words: Vec<String> },
}

/// Reads `docker WORDS`, and checks that every service and profile in it is deployed.
///
/// # Errors
/// The command is unknown here, or names a service or profile that does not exist.
pub(super) fn compose(words: &[&str]) -> Result<Compose, String> {
    let deployed = yaml(&deploy("compose.yaml"));
    let mut rest = match words {
        ["compose", "-f", "deploy/compose.yaml", rest @ ..] => rest,
        _ => return Err("write docker compose -f deploy/compose.yaml".to_owned()),
    };
    while let ["--profile", profile, others @ ..] = rest {
        let known = services(&deployed).any(|(_, service)| {
            service["profiles"].as_array().is_some_and(|profiles| profiles.contains(&(*profile).into()))
        });
        if !known {
            return Err(format!("no service has the profile {profile}"));
        }
        rest = others;
    }
    let named = |words: &[&str]| {
        let mut names = words.iter().filter(|word| !word.starts_with("--") && !word.contains('='));
        match names.find(|name| services(&deployed).all(|(known, _)| known != *name)) {
            None => Ok(Compose::Services),
            Some(name) => Err(format!("there is no service {name}")),
        }
    };
    match rest {
        ["ps" | "logs" | "up" | "stop" | "start" | "restart" | "pull" | "build" | "down", rest @ ..] => {
            // The argument of --scale is a service and a number.
            named(rest)
        }
        ["exec", "-T", service, words @ ..]
        | ["exec", service, words @ ..]
        | ["run", "--rm", service, words @ ..] => {
            named(&[service])?;
            let environment = deployed["services"][service]["environment"].as_object();
            let variables = environment.into_iter().flatten().map(|(name, _)| name.clone()).collect();
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            Ok(Compose::Command { service: (*service).to_owned(), variables, words })
        }
        _ => Err("this story does not know the command of Docker Compose".to_owned()),
    }
}

fn services(deployed: &Value) -> impl Iterator<Item = (&String, &Value)> {
    deployed["services"].as_object().into_iter().flatten()
}
