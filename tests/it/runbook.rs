//! The commands of the documents: those of the runbook succeed against a fleet, and those of the other pages exist in
//! the binary.

pub(crate) mod text;
mod tools;

use std::{
    fs,
    process::{Output, Stdio},
};

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::json;
use text::{Code, codes, words};
use tokio::process::{Child, Command};
use tools::Compose;
use weir_testkit::{Storage, Weir, events::Sender, eventually, ports, repository::repository, weir::command};

/// The admin addresses in the runbook, with the process of the fleet behind each.
const ADMIN: [(&str, &str); 5] = [
    ("edge:9101", "edge"),
    ("ingest:9102", "ingest"),
    ("collector-facebook:9103", "collect-facebook"),
    ("collector-tiktok:9104", "collect-tiktok"),
    ("reporting:9105", "reporting"),
];
/// Groups of commands, and commands that need more words, which the text only mentions.
const MENTIONED: [&str; 9] =
    ["up", "edge", "ingest", "collect", "reporting", "journal", "dead-letters", "migrate", "verify"];
/// Programs of the machine that a story may not run.
const OF_THE_MACHINE: [&str; 8] =
    ["timedatectl", "chronyc", "date", "systemctl", "journalctl", "ulimit", "cargo", "install"];
/// Statements that can't run in a transaction, or that only psql has.
const OUTSIDE_TRANSACTIONS: [&str; 3] = ["CREATE DATABASE", "DROP DATABASE", "ALTER SYSTEM"];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbook_succeeds() {
    let mut runner = Runner::start().await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    let mut block = None;
    for code in codes("docs/runbook.md") {
        let here = code.block.as_ref().map(|_| code.number);
        if block.is_some() && block != here {
            runner.end_block().await.unwrap_or_else(|error| wrong.push(error));
        }
        block = here;
        match runner.run(&code).await {
            Ok(is_command) => tried += usize::from(is_command),
            Err(error) => wrong.push(format!("{}: {}: {error}", code.place, code.text)),
        }
    }
    for words in std::mem::take(&mut runner.after_dry_run) {
        runner.weir(&words, None).await.unwrap_or_else(|error| wrong.push(format!("{words:?}: {error}")));
    }
    assert!(wrong.is_empty(), "{} of the runbook's commands:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 25, "the runbook has more than {tried} commands");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_line_of_weir_in_the_pages_is_known_to_the_binary() {
    let pages = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| format!("docs/{}", name.to_str().unwrap()));
    let mut wrong = Vec::new();
    for page in pages.filter(|page| page.ends_with(".md")).chain(["README.md".to_owned()]) {
        for code in codes(&page) {
            let text = code.text.replace("cargo run --release -- ", "weir ");
            let mut words = words(&text).into_iter().skip_while(|word| word.contains('='));
            if words.next().as_deref() == Some("weir") {
                let known = is_known(&words.collect::<Vec<_>>()).await;
                known.unwrap_or_else(|error| wrong.push(format!("{}: {}: {error}", code.place, code.text)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks that the binary has the command and every option.
///
/// # Errors
/// It lacks one.
async fn is_known(words: &[String]) -> Result<(), String> {
    let is_name = |word: &&String| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let names = words.iter().take_while(|word| is_name(word) && !word.starts_with('-')).take(2);
    let args: Vec<_> = names.map(String::as_str).chain(["--help"]).collect();
    let output = command(&args).output().await.unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let options = words.iter().filter(|word| word.starts_with("--"));
    let options = options.map(|word| word.split('=').next().unwrap_or_default());
    match options.into_iter().find(|option| !help.contains(*option)) {
        None => Ok(()),
        Some(option) => Err(format!("there is no {option}")),
    }
}

/// A fleet with stored and rejected events, on which the commands of the runbook run.
struct Runner {
    weir: Weir,
    /// The placeholders of the runbook, with their values here.
    placeholders: Vec<(&'static str, String)>,
    /// The processes that the current block has started.
    background: Vec<(String, Child)>,
    /// Commands that have run with --dry-run and still have to run without it.
    after_dry_run: Vec<Vec<String>>,
    /// Statements that create roles, which later statements use.
    roles: Vec<String>,
}

impl Runner {
    async fn start() -> Self {
        let weir = Weir::fleet().await;
        let (ledger, patch) = (weir.folder().join("run.ledger"), weir.folder().join("fix.json"));
        let ledger = ledger.to_str().unwrap().to_owned();
        let publish = ["publish", "--min", "50", "--max", "90", "--duration", "1s", "--ledger", &ledger];
        let (status, output) = weir.run(&publish, &[]).await;
        assert!(status.success(), "{output}");
        let events = Sender::new("runbook", 3).events(20);
        let (id, source) = (events[0]["eventId"].clone(), events[0]["source"].clone());
        let mut bad = events[1].clone();
        (bad["eventId"], bad["timestamp"]) = (json!("bad-clock"), json!("yesterday"));
        weir.post(&json!(events)).await.expect_accepted(events.len(), 0);
        weir.post(&json!([events[2], bad])).await;
        let event = ["event", source.as_str().unwrap(), id.as_str().unwrap()];
        eventually(async || match weir.run(&event, &[]).await {
            (status, _) if status.success() => Ok(()),
            (_, output) => Err(output),
        })
        .await;
        fs::write(&patch, r#"[{"op": "replace", "path": "/timestamp", "value": "2025-09-14T07:21:45Z"}]"#)
            .unwrap();
        let Storage::Servers { nats, .. } = weir.storage() else { panic!("a fleet is on servers") };
        let text = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        let placeholders = vec![
            ("SOURCE", text(source)),
            ("EVENT_ID", text(id)),
            ("FILE", ledger),
            ("fix.json", patch.to_str().unwrap().to_owned()),
            ("TEXT", "/timestamp".to_owned()),
            ("SEQUENCE", "1".to_owned()),
            ("USER_ID", "u-unknown".to_owned()),
            ("FOLDER", nats.store().to_str().unwrap().to_owned()),
            ("4333", ports::free().to_string()),
        ];
        Self { weir, placeholders, background: Vec::new(), after_dry_run: Vec::new(), roles: Vec::new() }
    }

    /// Runs a piece of code if it is a command; returns whether it is one.
    ///
    /// # Errors
    /// The command fails, or this story does not know it.
    async fn run(&mut self, code: &Code) -> Result<bool, String> {
        if code.block.as_deref() == Some("sql") || is_sql(&code.text) {
            return self.sql(&code.text).await.map(|()| true);
        }
        // The commands behind a pipe only format the output.
        let line = code.text.split(" | ").next().unwrap_or_default();
        let words: Vec<_> = words(line).iter().map(|word| self.substituted(word)).collect();
        let (variables, words): (Vec<_>, Vec<_>) = {
            let count = words.iter().take_while(|word| is_assignment(word)).count();
            (words[..count].to_vec(), words[count..].to_vec())
        };
        let plain: Vec<_> = words.iter().map(String::as_str).collect();
        match plain.as_slice() {
            ["weir", rest @ ..] if rest.len() > 1 || !MENTIONED.contains(rest.first().unwrap_or(&"up")) => {
                let is_role = ["up", "edge", "ingest", "collect", "reporting"].contains(&rest[0]);
                match (is_role, code.block.is_some()) {
                    (true, true) => self.role(&words[1..], &variables),
                    (true, false) => is_known(&words[1..]).await?,
                    (false, _) => self.weir(&words[1..], None).await?,
                }
            }
            ["weir", ..] => is_known(&words[1..]).await?,
            ["nats", rest @ ..] if !rest.is_empty() => {
                let Storage::Servers { nats, .. } = self.weir.storage() else { unreachable!() };
                tools::nats(rest, &nats.url()).await?;
            }
            ["docker", rest @ ..] => match tools::compose(rest)? {
                Compose::Services => {}
                Compose::Command { service, variables, words } => match words.split_first() {
                    Some((weir, words)) if weir == "weir" => {
                        self.weir(words, Some((&service, &variables))).await?
                    }
                    _ => return Err("this story runs only weir in a container".to_owned()),
                },
            },
            ["cp", ..] if code.block.is_some() => {
                let mut copy = Command::new("cp");
                succeeded(copy.args(&words[1..]).current_dir(self.weir.folder()).output().await.unwrap())?;
            }
            ["nats-server", ..] if code.block.is_some() => {
                let mut server = Command::new("nats-server");
                server.args(&words[1..]).stderr(Stdio::null());
                self.spawn("nats-server", server);
            }
            [program, rest @ ..] if OF_THE_MACHINE.contains(program) => tools::machine(rest)?,
            // Otherwise a log message would count as a command.
            [program, _, ..] if is_program(program) && *program != "the" && !is_query(&code.text) => {
                return Err("this story does not know the command".to_owned());
            }
            [_, ..] if matches!(code.block.as_deref(), Some("sh" | "bash" | "console")) => {
                return Err("this story does not know the command".to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs a command of the binary with every variable of the deployment, or only with those of a service.
    async fn weir(&mut self, words: &[String], within: Option<(&str, &[String])>) -> Result<(), String> {
        let args: Vec<_> = words.iter().map(String::as_str).collect();
        let mut tool = self.weir.tool(&args);
        if let Some((service, variables)) = within {
            let all: Vec<_> = tool.as_std().get_envs().map(|(name, _)| name.to_owned()).collect();
            for name in all.iter().filter_map(|name| name.to_str()) {
                // In its own container a role has its default address.
                let is_own =
                    matches!((service, name), ("ingest", "INGEST_URL") | ("reporting", "REPORTING_URL"))
                        || (service == "edge" && name == "EVENT_ENDPOINT");
                if !is_own && !variables.iter().any(|known| known == name) {
                    tool.env_remove(name);
                }
            }
            if let Some((_, process)) =
                ADMIN.iter().find(|(host, _)| host.starts_with(&format!("{service}:")))
            {
                tool.env("ADMIN_LISTEN", self.weir.addresses.admin_of(process).to_string());
            }
        }
        if words.iter().any(|word| word == "--dry-run") {
            self.after_dry_run.push(words.iter().filter(|word| *word != "--dry-run").cloned().collect());
        }
        succeeded(tool.current_dir(self.weir.folder()).output().await.unwrap())
    }

    fn role(&mut self, words: &[String], variables: &[String]) {
        let args: Vec<_> = words.iter().map(String::as_str).collect();
        let mut role = self.weir.tool(&args);
        role.envs(variables.iter().filter_map(|variable| variable.split_once('=')));
        self.spawn("weir", role.stdout(Stdio::null()).stderr(Stdio::null()));
    }

    fn spawn(&mut self, name: &str, mut program: impl std::borrow::BorrowMut<Command>) {
        let program = program.borrow_mut().current_dir(self.weir.folder()).kill_on_drop(true);
        self.background.push((name.to_owned(), program.spawn().unwrap()));
    }

    /// Ends the processes of a block with SIGINT, as Ctrl-C does, Weir first.
    async fn end_block(&mut self) -> Result<(), String> {
        let mut ended = Ok(());
        for (name, mut child) in std::mem::take(&mut self.background).into_iter().rev() {
            let id = child.id().unwrap_or_default().to_string();
            Command::new("kill").args(["-s", "INT", &id]).status().await.unwrap();
            let status = child.wait().await.unwrap();
            if name == "weir" && !status.success() {
                ended = Err(format!("{name} ended with {status}"));
            }
        }
        ended
    }

    /// Runs statements in a transaction that is rolled back, because they change roles and tables of the whole
    /// deployment.
    async fn sql(&mut self, text: &str) -> Result<(), String> {
        let store = self.weir.store().await;
        let lines = text.lines().filter(|line| !line.starts_with(['\\', '-']));
        let text = lines.collect::<Vec<_>>().join("\n");
        let database = store.query_one_raw(statement("SELECT current_database()")).await.unwrap().unwrap();
        let database: String = database.try_get_by_index(0).unwrap();
        let transaction = store.begin().await.map_err(|error| error.to_string())?;
        for role in &self.roles {
            transaction.execute_unprepared(role).await.map_err(|error| error.to_string())?;
        }
        for sql in text.split(';').map(str::trim).filter(|sql| !sql.is_empty()) {
            if sql.starts_with("CREATE ROLE") {
                self.roles.push(sql.to_owned());
            }
            if OUTSIDE_TRANSACTIONS.iter().any(|known| sql.starts_with(known)) {
                continue;
            }
            let sql = sql.replace("DATABASE weir", &format!("DATABASE {database}"));
            transaction.execute_unprepared(&sql).await.map_err(|error| format!("{sql}: {error}"))?;
        }
        transaction.rollback().await.map_err(|error| error.to_string())
    }

    fn substituted(&self, word: &str) -> String {
        let mut word = word.to_owned();
        for (name, value) in &self.placeholders {
            // A placeholder is a whole word, or the part after a colon.
            if word == *name || word.ends_with(&format!(":{name}")) {
                word.truncate(word.len() - name.len());
                word.push_str(value);
            }
        }
        for (host, process) in ADMIN {
            word =
                word.replace(&format!("//{host}/"), &format!("//{}/", self.weir.addresses.admin_of(process)));
        }
        word
    }
}

fn succeeded(output: Output) -> Result<(), String> {
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{}: {text}", output.status)) }
}

fn statement(sql: &str) -> sea_orm::Statement {
    sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql)
}

fn is_sql(text: &str) -> bool {
    let verbs =
        ["SELECT ", "DELETE ", "INSERT ", "UPDATE ", "GRANT ", "REVOKE ", "ALTER ", "CREATE ", "VACUUM "];
    verbs.iter().any(|verb| text.starts_with(verb)) && text.ends_with(';')
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && !name.is_empty()
    })
}

fn is_program(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether the text is PromQL, which monitoring/live.rs runs.
pub(crate) fn is_query(text: &str) -> bool {
    let of_promql = ["(", "{", " == ", " > ", " < "];
    of_promql.iter().any(|part| text.contains(part)) && !["://", "…"].iter().any(|part| text.contains(part))
}
