# Short names for the commands of the repository; every recipe only calls one of them.

# Everything that a change must pass, from formatting to the last story.
ci:
    .ci/run

# Every test; `just test --soak` adds the long ones, `just test -- --test it faults::` runs some.
test *ARGUMENTS:
    tests/run {{ARGUMENTS}}

# The inner steps of an event's way, each alone.
steps *ARGUMENTS:
    cargo bench --bench steps -- {{ARGUMENTS}}

# The whole system under load; `just load --quick arrays` runs one section shortly.
load *ARGUMENTS:
    cargo bench --profile dist --bench load -- {{ARGUMENTS}}
