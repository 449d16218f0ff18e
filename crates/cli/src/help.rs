//! The parts of `--help` that no option says of itself.

pub(crate) const ABOUT: &str = "\
Takes ad-platform webhooks in, loses nothing that it accepted, counts everything once and answers for it.

  senders → edge → ingest → journal → collectors → store ← reporting ← edge ← people

`weir up` runs all of it in one process, on files, and `weir up --demo` shows it at work. Each role also runs on \
its own, any number of times, with the journal on NATS JetStream and the store on PostgreSQL.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  weir up --demo                                    see it work
  weir up                                           run it on files in ./data
  weir publish --duration 1m                        send it events for a minute
  weir verify --ledger run.ledger                   prove that nothing was lost (publish with --ledger)
  weir reconcile                                    prove that reports are what the rows say
  weir report revenue --source facebook --limit 3   ask it
  weir event facebook fb-1                          look for one event
  weir up --help                                    what else can be chosen

Every option can also be given as the environment variable that its help names.
Exit codes: 0 it is done, 1 it failed, 64 it was asked wrongly; then every mistake is told. 74 its \
answer can't be written to standard output. 75 is of `weir erase`: it will be done.";

pub(crate) const MORE: &str = "--help says more and gives examples.";

pub(crate) const UP: &str = "\
Without NATS_URL the journal is on files, and without DATABASE_URL the store is; either can be chosen alone.

Examples:
  weir up --demo
  weir up --weir-data-dir /var/lib/weir
  NATS_URL=nats://127.0.0.1:4222 DATABASE_URL=postgres://weir@127.0.0.1/weir weir up
  APP_ENV=production LOG_LEVEL=warn weir up

Then post events to http://127.0.0.1:3001/events and look at http://127.0.0.1:3001/api.";

pub(crate) const PUBLISH: &str = "\
Every --interval-ms an array of --min to --max events is posted, whether the one before was answered or not. At \
the end it is said what came of it. The exit code is 1 if a request had no 2xx for an answer.

Examples:
  weir publish                                       until Ctrl-C
  weir publish --min 1000 --max 10000 --duration 1m
  weir publish --seed 7 --duplicates 0.1 --late 0.1 --duration 30s";

pub(crate) const RECONCILE: &str = "\
Reports are answered from events that were added up by minute, hour and day when they were stored, and from sets of \
the people in them. This adds the rows up again, day by day and each day in one state of the store, looks up whom they \
name, and names every bucket that differs: the rollups or the sets say one thing, the rows another. Run it after a \
disk or a backup gave reason to doubt, after rows were changed by hand, and now and then; collectors may go on storing.

Rows that were removed after EVENT_RETENTION can't be added up again: before that moment, which is said, hours and \
days are compared with their minutes alone.

Exit codes: 0 nothing differs (with --repair: any more), 1 something does or it failed, 64 it was asked wrongly, \
74 the findings can't be written.

Examples:
  weir reconcile
  weir reconcile --from 2025-09-01 --to 2025-10-01 --source facebook --format json
  weir reconcile --repair";

pub(crate) const REPORT: &str = "\
Examples:
  weir report events --source tiktok --group-by hour
  weir report revenue --from 2025-01-01 --to 2025-02-01 --limit 3
  weir report demographics --json";

pub(crate) const EVENT: &str = "\
The edge is asked: it puts together what ingest and reporting know. An event that was accepted may still wait to be \
stored; then it is unknown, and it is said how many frames of its source wait.

Examples:
  weir event facebook fb-1
  weir event tiktok 'an id/with what it has' --json";

pub(crate) const ERASE: &str = "\
Rows of the person stay and keep counting, without who it was; the person's dead letters are removed. Ingest takes \
the order on a loopback address, or elsewhere from whoever presents its WEIR_OPERATOR_TOKEN.

Exit codes: 0 it is complete, 75 it is durable and will be done but was not complete within --wait, 1 it failed, \
64 it was asked wrongly, 74 the receipt can't be written.

Examples:
  weir erase facebook u-1
  weir erase tiktok u-2 --suppress --json
  weir erase --receipt 01a203fe-f893-71f5-9146-3e53170ddf88 --wait 0s";

pub(crate) const JOURNAL: &str = "\
Ingest alone creates and changes streams and consumers. When it starts it raises what is too low and leaves what is \
higher than it wants, so that what an operator raised on the server stays. Give these commands the settings of ingest \
(NATS_URL, JOURNAL_PREFIX, JOURNAL_MAX_BYTES, JOURNAL_REPLICAS, JOURNAL_ACK_WAIT_MS).

Examples:
  weir journal status
  JOURNAL_MAX_BYTES=4GiB weir journal apply --shrink
  weir journal forget-lost";

pub(crate) const DEAD_LETTERS: &str = "\
They carry people's data: ingest serves them on a loopback address, or elsewhere to whoever presents its \
WEIR_OPERATOR_TOKEN.

Examples:
  weir dead-letters list --source facebook --reason /timestamp
  weir dead-letters show rejected-17
  weir dead-letters redrive --reason /timestamp --patch fix.json --dry-run
  sed s/OLD/NEW/ fix.json | weir dead-letters redrive --reason /timestamp --patch -
  weir dead-letters discard --to 2025-02-01 --dry-run";
