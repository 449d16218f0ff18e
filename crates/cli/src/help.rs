//! The parts of `--help` that belong to no single option.

pub(crate) const ABOUT: &str = "\
Takes ad-platform webhooks in, loses nothing that it accepted, counts each event once and reports the counts.

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
  weir report revenue --source facebook --limit 3   show the revenue by campaign
  weir event facebook fb-1                          look for one event
  weir up --help                                    every setting of it

Every option can also be given as the environment variable that its help names.
Exit codes: 0 done; 1 failed; 64 the arguments or settings are wrong, and every mistake is listed; 74 the answer \
can't be written to standard output; 75 `weir erase` only: durable, and not complete yet.";

pub(crate) const MORE: &str = "More, with examples: --help.";

pub(crate) const UP: &str = "\
Without NATS_URL the journal is on files; without DATABASE_URL the store is. Either can be set alone.

Examples:
  weir up --demo
  weir up --weir-data-dir /var/lib/weir
  NATS_URL=nats://127.0.0.1:4222 DATABASE_URL=postgres://weir@127.0.0.1/weir weir up
  APP_ENV=production LOG_LEVEL=warn weir up

Then post events to http://127.0.0.1:3001/events and look at http://127.0.0.1:3001/api.";

pub(crate) const PUBLISH: &str = "\
Posts an array of --min to --max events every --interval-ms, whether the one before is answered or not, and prints a \
summary at the end. The exit code is 1 if a request had no 2xx.

Examples:
  weir publish                                       until Ctrl-C
  weir publish --min 1000 --max 10000 --duration 1m
  weir publish --seed 7 --duplicates 0.1 --late 0.1 --duration 30s";

pub(crate) const RECONCILE: &str = "\
Reports read rollups by minute, hour and day, and sets of the people in them. Collectors write both when they store \
events. This command sums the rows up again, day by day and each day in one snapshot, and lists every bucket whose \
rollups or sets differ from the rows. Run it after a doubt about a disk or a backup, after a manual change of rows, and \
regularly; collectors may continue to store.

Rows that were removed after EVENT_RETENTION can't be summed up again. Before that time, which is printed, hours and \
days are compared with their minutes only.

Exit codes: 0 nothing differs (with --repair: any more), 1 something differs or the command failed, 64 the arguments \
are wrong, 74 the findings can't be written.

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
The edge combines the answers of ingest and reporting. An accepted event may still wait to be stored. Then it is \
unknown, and the answer contains the number of waiting frames of its source.

Examples:
  weir event facebook fb-1
  weir event tiktok 'an id/with what it has' --json";

pub(crate) const ERASE: &str = "\
The person's rows stay and continue to count, without the person's data; the person's dead letters are removed. On a \
loopback address ingest accepts every request, elsewhere only with its WEIR_OPERATOR_TOKEN.

Exit codes: 0 complete; 75 durable, but not complete within --wait; 1 failed; 64 the arguments are wrong; 74 the \
receipt can't be written.

Examples:
  weir erase facebook u-1
  weir erase tiktok u-2 --suppress --json
  weir erase --receipt 01a203fe-f893-71f5-9146-3e53170ddf88 --wait 0s";

pub(crate) const JOURNAL: &str = "\
Only ingest creates and changes streams and consumers. At its start it raises settings that are too low and keeps \
higher ones, so that an operator's changes on the server stay. Give these commands the settings of ingest \
(NATS_URL, JOURNAL_PREFIX, JOURNAL_MAX_BYTES, JOURNAL_REPLICAS, JOURNAL_ACK_WAIT_MS).

Examples:
  weir journal status
  JOURNAL_MAX_BYTES=4GiB weir journal apply --shrink
  weir journal forget-lost";

pub(crate) const DEAD_LETTERS: &str = "\
Dead letters carry people's data. On a loopback address ingest serves them to every caller, elsewhere only with its \
WEIR_OPERATOR_TOKEN.

Examples:
  weir dead-letters list --source facebook --reason /timestamp
  weir dead-letters show rejected-17
  weir dead-letters redrive --reason /timestamp --patch fix.json --dry-run
  sed s/OLD/NEW/ fix.json | weir dead-letters redrive --reason /timestamp --patch -
  weir dead-letters discard --to 2025-02-01 --dry-run";
