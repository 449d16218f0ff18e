//! Differences between the desired and the found settings of a stream or consumer. Weir changes them, except those that
//! would shrink something: these wait for an operator.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{self, AckPolicy, FromConsumer as _, pull},
    stream::{Config, SubjectTransform},
};
use weir_event::Source;

use super::{
    desired::MARK,
    setting::{JournalSetting, LimitValue, SettingsComparison, Shrinking},
};
use crate::{limits::MIN_MESSAGE_BYTES, names::Names};

/// The name of a stream in settings and errors.
pub(super) fn stream_place(name: &str) -> String {
    format!("stream {name}")
}

/// The name of a consumer in settings and errors.
pub(super) fn consumer_place(name: &str) -> String {
    format!("consumer {name}")
}

/// Compares a stream's settings. Returns `found` with the changes that are allowed, and every setting.
///
/// # Errors
/// The stream is another application's, or can't be used, and must be left untouched. The text is for operators.
pub(super) fn compare_stream(
    found: &Config,
    wanted: &Config,
    names: &Names,
    shrinking: Shrinking,
) -> Result<(Config, Vec<JournalSetting>), String> {
    recognise_stream(found, wanted, names)?;
    let mut comparison = SettingsComparison::new(stream_place(&wanted.name), shrinking);
    let mut config = found.clone();
    // Subjects of a newer build stay: their messages wait for its collectors.
    let missing = wanted.subjects.iter().filter(|subject| !found.subjects.contains(subject));
    let subjects = found.subjects.iter().chain(missing).cloned().collect();
    comparison.fixed("subjects", &mut config.subjects, subjects, |subjects: &Vec<String>| subjects.join(" "));
    comparison.fixed("discard", &mut config.discard, wanted.discard, |discard| format!("{discard:?}"));
    comparison.limit("max_age", None, &mut config.max_age, wanted.max_age, LimitValue::age);
    let bytes = (wanted.name == names.events_stream()).then_some("JOURNAL_MAX_BYTES");
    comparison.limit("max_bytes", bytes, &mut config.max_bytes, wanted.max_bytes, LimitValue::bytes);
    // At this limit even a stream that refuses new messages drops the oldest one of a subject.
    let per_subject = &mut config.max_messages_per_subject;
    comparison.limit("max_msgs_per_subject", None, per_subject, -1, LimitValue::count);
    if config.max_messages_per_subject < 0 {
        config.discard_new_per_subject = false;
    }
    comparison.limit("max_msgs", None, &mut config.max_messages, -1, LimitValue::count);
    // A limit of an operator stays if an event fits: ingest makes smaller frames and letters.
    let is_enough = usize::try_from(config.max_message_size).is_ok_and(|size| size >= MIN_MESSAGE_BYTES);
    let size = if is_enough { config.max_message_size } else { -1 };
    let largest = &mut config.max_message_size;
    comparison.limit("max_msg_size", None, largest, size, |bytes| LimitValue::bytes(bytes.into()));
    // Without acknowledgements ingest accepts nothing, and under another subject no consumer gets a frame.
    comparison.fixed("no_ack", &mut config.no_ack, false, ToString::to_string);
    comparison.fixed("subject_transform", &mut config.subject_transform, None, |transform| {
        let text = |to: &SubjectTransform| format!("{} to {}", to.source, to.destination);
        transform.as_ref().map_or_else(|| "none".to_owned(), text)
    });
    comparison.replicas(&mut config.num_replicas, wanted.num_replicas);
    let window = &mut config.duplicate_window;
    comparison.limit("duplicate_window", None, window, wanted.duplicate_window, LimitValue::Time);
    comparison.mark(&mut config.metadata, &wanted.metadata);
    Ok((config, comparison.settings))
}

fn recognise_stream(found: &Config, wanted: &Config, names: &Names) -> Result<(), String> {
    let name = &wanted.name;
    let is_marked = found.metadata.contains_key(MARK);
    if !is_marked && !has_subjects_of_weir(&found.subjects, &wanted.subjects, names) {
        return Err(format!(
            "the stream {name} is another application's: it has the subjects {:?} and no mark '{MARK}' in its metadata. \
             Weir leaves it untouched. Set JOURNAL_PREFIX, so that Weir's streams have other names, or remove it",
            found.subjects
        ));
    }
    for (setting, is, must) in [
        ("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention)),
        ("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage)),
        ("sealed", found.sealed.to_string(), false.to_string()),
    ] {
        if is != must {
            return Err(format!(
                "the stream {name} can't be used: its {setting} is {is} instead of {must}, and no server changes that. \
                 Weir leaves it untouched. Remove it once what it holds is not needed, or set JOURNAL_PREFIX"
            ));
        }
    }
    Ok(())
}

/// [`compare_stream`] for the stream of a key-value bucket. NATS creates it, so that it has no mark.
///
/// # Errors
/// The stream is another application's and must be left untouched. The text is for operators.
pub(super) fn compare_bucket(
    found: &Config,
    wanted: &Config,
    shrinking: Shrinking,
) -> Result<(Config, Vec<JournalSetting>), String> {
    if !has_same(&found.subjects, &wanted.subjects) {
        return Err(format!(
            "the stream {} is another application's: it has the subjects {:?} and is no key-value bucket of Weir. Weir \
             leaves it untouched. Set JOURNAL_PREFIX, so that Weir's bucket has another name, or remove it",
            wanted.name, found.subjects
        ));
    }
    let mut comparison = SettingsComparison::new(stream_place(&wanted.name), shrinking);
    let mut config = found.clone();
    comparison.limit("max_age", None, &mut config.max_age, Duration::ZERO, LimitValue::age);
    comparison.replicas(&mut config.num_replicas, wanted.num_replicas);
    Ok((config, comparison.settings))
}

/// Whether the subjects are those of this build, or of an earlier build, which had no subjects for erasures.
fn has_subjects_of_weir(found: &[String], wanted: &[String], names: &Names) -> bool {
    let is_erasures = |subject: &String| Source::ALL.iter().any(|source| *subject == names.erasures(*source));
    let before: Vec<String> = wanted.iter().filter(|subject| !is_erasures(subject)).cloned().collect();
    [wanted, &before].into_iter().any(|subjects| has_same(found, subjects))
}

/// Whether both have the same subjects, in any order.
fn has_same(some: &[String], others: &[String]) -> bool {
    some.len() == others.len() && some.iter().all(|subject| others.contains(subject))
}

/// [`compare_stream`] for a durable consumer.
///
/// # Errors
/// The consumer is another application's and must be left untouched. The text is for operators.
pub(super) fn compare_consumer(
    found: &consumer::Config,
    wanted: &pull::Config,
    shrinking: Shrinking,
) -> Result<(pull::Config, Vec<JournalSetting>), String> {
    let name = wanted.durable_name.clone().unwrap_or_default();
    let foreign = |what: &str| {
        format!(
            "the consumer {name} is another application's: {what}. Weir leaves it untouched. Set JOURNAL_PREFIX, so that \
             Weir's consumers have other names, or remove it"
        )
    };
    let is_marked = found.metadata.contains_key(MARK);
    let filters = filters(&found.filter_subject, &found.filter_subjects);
    let of_weir = [&wanted.filter_subjects[..], &wanted.filter_subjects[..1]];
    if !is_marked && !of_weir.into_iter().any(|subjects| has_same(&filters, subjects)) {
        return Err(foreign(&format!("it takes {filters:?} and has no mark '{MARK}' in its metadata")));
    }
    if found.ack_policy != AckPolicy::Explicit {
        return Err(foreign(&format!("its ack_policy is {:?} instead of Explicit", found.ack_policy)));
    }
    let Ok(mut config) = pull::Config::try_from_consumer_config(found.clone()) else {
        return Err(foreign("it is a push consumer"));
    };
    let mut comparison = SettingsComparison::new(consumer_place(&name), shrinking);
    let mut kept =
        if has_same(&filters, &wanted.filter_subjects) { wanted.filter_subjects.clone() } else { filters };
    comparison.fixed(
        "filter_subjects",
        &mut kept,
        wanted.filter_subjects.clone(),
        |subjects: &Vec<String>| subjects.join(" "),
    );
    config.filter_subject.clear();
    config.filter_subjects = kept;
    let ack_wait = Some("JOURNAL_ACK_WAIT_MS");
    comparison.limit("ack_wait", ack_wait, &mut config.ack_wait, wanted.ack_wait, LimitValue::Time);
    let deliver = &mut config.max_deliver;
    comparison.limit("max_deliver", None, deliver, wanted.max_deliver, LimitValue::count);
    let pending = &mut config.max_ack_pending;
    comparison.limit("max_ack_pending", None, pending, wanted.max_ack_pending, LimitValue::count);
    // With a threshold the server removes the consumer while no collector runs, and forgets the acknowledgements.
    let inactive = &mut config.inactive_threshold;
    comparison.limit("inactive_threshold", None, inactive, wanted.inactive_threshold, LimitValue::age);
    comparison.mark(&mut config.metadata, &wanted.metadata);
    comparison.pause(found);
    Ok((config, comparison.settings))
}

/// The filter subjects of a consumer. A server reports one filter and several filters in different fields.
pub(super) fn filters(one: &str, several: &[String]) -> Vec<String> {
    if one.is_empty() { several.to_vec() } else { vec![one.to_owned()] }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::StorageType;

    use super::{
        super::{
            desired::{MAX_ACK_PENDING, consumer, dead_letters, events},
            setting::SettingState,
        },
        *,
    };
    use crate::{dead_letter_stream::DeadLetterStream, limits, settings::Settings};

    fn settings() -> Settings {
        Settings::default()
    }

    /// `EVENTS` of an earlier build.
    fn events_before() -> Config {
        Config {
            subjects: vec!["events.facebook".into(), "events.tiktok".into()],
            max_age: limits::ACKNOWLEDGED_FRAME_AGE,
            metadata: Default::default(),
            ..events(&settings())
        }
    }

    fn compared(
        found: &Config,
        wanted: &Config,
        shrinking: Shrinking,
    ) -> (Config, Vec<(&'static str, bool)>) {
        let (config, differences) = compare_stream(found, wanted, &Names::default(), shrinking).unwrap();
        let differ = differences.iter().filter(|found| found.state != SettingState::Same);
        (config, differ.map(|found| (found.setting, found.state == SettingState::Shrinks)).collect())
    }

    #[test]
    fn a_stream_of_an_earlier_build_is_adopted_and_its_maximum_age_is_removed() {
        let (config, differences) = compared(&events_before(), &events(&settings()), Shrinking::Refused);
        assert_eq!(config, events(&settings()));
        assert_eq!(differences, [("subjects", false), ("max_age", false), ("metadata", false)]);
        assert_eq!(compared(&config, &events(&settings()), Shrinking::Refused).1, []);
    }

    #[test]
    fn a_setting_shrinks_only_if_shrinking_is_allowed() {
        let raised = Config { max_bytes: -1, num_replicas: 3, ..events(&settings()) };
        let (kept, differences) = compared(&raised, &events(&settings()), Shrinking::Refused);
        assert_eq!((kept.max_bytes, kept.num_replicas), (-1, 3));
        assert_eq!(differences, [("max_bytes", true), ("num_replicas", true)]);
        let (shrunk, _) = compared(&raised, &events(&settings()), Shrinking::Allowed);
        assert_eq!((shrunk.max_bytes, shrunk.num_replicas), (8 << 30, 1));
        let letters = dead_letters(DeadLetterStream::Parked, &settings());
        let forever = Config { max_age: Duration::ZERO, ..letters.clone() };
        assert_eq!(compared(&forever, &letters, Shrinking::Refused).0.max_age, Duration::ZERO);
    }

    #[test]
    fn a_setting_that_grows_is_changed_at_once() {
        let large = Settings { max_bytes: 16 << 30, replicas: 3, ..settings() };
        let (config, differences) = compared(&events(&settings()), &events(&large), Shrinking::Refused);
        assert_eq!((config.max_bytes, config.num_replicas), (16 << 30, 3));
        assert_eq!(differences, [("max_bytes", false), ("num_replicas", false)]);
        let forgetful = Config { max_messages_per_subject: 10, ..events(&settings()) };
        assert_eq!(
            compared(&forgetful, &events(&settings()), Shrinking::Refused).0.max_messages_per_subject,
            -1
        );
    }

    #[test]
    fn a_stream_of_another_application_is_refused_by_name() {
        let orders =
            Config { subjects: vec!["orders.>".into()], metadata: Default::default(), ..events_before() };
        let memory = Config { storage: StorageType::Memory, ..events_before() };
        for (found, text) in [(orders, "orders.>"), (memory, "storage is Memory instead of File")] {
            let refusal = compare_stream(&found, &events(&settings()), &Names::default(), Shrinking::Allowed);
            let refusal = refusal.unwrap_err();
            assert!(refusal.contains("EVENTS") && refusal.contains(text), "{refusal}");
        }
    }

    #[test]
    fn subjects_of_a_newer_build_stay() {
        let mut newer = events(&settings());
        newer.subjects.push("pauses.facebook".into());
        let (config, differences) = compared(&newer, &events(&settings()), Shrinking::Allowed);
        assert_eq!((config.subjects, differences), (newer.subjects, vec![]));
    }

    #[test]
    fn a_consumer_of_an_earlier_build_is_adopted_and_another_one_is_refused() {
        let wanted = consumer(Source::Facebook, &settings());
        let before = consumer::Config {
            durable_name: wanted.durable_name.clone(),
            filter_subject: "events.facebook".into(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(60),
            max_deliver: 5,
            max_ack_pending: MAX_ACK_PENDING,
            ..consumer::Config::default()
        };
        let (config, differences) = compare_consumer(&before, &wanted, Shrinking::Refused).unwrap();
        assert_eq!(config.filter_subjects, ["events.facebook", "erasures.facebook"]);
        assert_eq!((config.ack_wait, config.max_deliver), (Duration::from_secs(60), -1));
        let shrinks: Vec<_> =
            differences.iter().filter(|found| found.state == SettingState::Shrinks).collect();
        assert_eq!((shrinks.len(), shrinks[0].variable), (1, Some("JOURNAL_ACK_WAIT_MS")));
        let other = consumer::Config { filter_subject: "events.tiktok".into(), ..before.clone() };
        let push = consumer::Config { deliver_subject: Some("there".into()), ..before };
        for other in [other, push] {
            let refusal = compare_consumer(&other, &wanted, Shrinking::Allowed).unwrap_err();
            assert!(refusal.contains("collector-facebook"), "{refusal}");
        }
    }
}
