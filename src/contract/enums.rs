//! The closed sets of the event format: each member has its name in JSON and its number in protobuf.
//!
//! The database stores the same numbers, so names and numbers are as frozen as the contract.

use std::fmt;

/// Declares a closed set: an enum whose members carry the number in protobuf and the name in JSON.
macro_rules! closed_set {
    ($(#[$doc:meta])* $set:ident { $($member:ident = $number:literal $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $set {
            $(#[doc = concat!("`", $name, "`")] $member = $number),+
        }

        impl $set {
            /// Every member, in the order of the numbers.
            pub const ALL: &'static [$set] = &[$($set::$member),+];

            /// The name in JSON.
            #[must_use]
            #[inline]
            pub fn name(self) -> &'static str {
                match self { $($set::$member => $name),+ }
            }

            /// The member with this name; names are case-sensitive.
            #[must_use]
            #[inline]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some($set::$member),)+ _ => None }
            }

            /// The number in protobuf, which the database stores too.
            #[must_use]
            #[inline]
            pub fn number(self) -> i32 {
                self as i32
            }

            /// The member with this number; `None` for UNSPECIFIED and for numbers of newer contracts.
            #[must_use]
            #[inline]
            pub fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some($set::$member),)+ _ => None }
            }

            /// The name of the member with this number; [`UNKNOWN`] for UNSPECIFIED and for numbers of newer contracts.
            #[must_use]
            pub fn name_of(number: i32) -> &'static str {
                Self::from_number(number).map_or(UNKNOWN, Self::name)
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl ClosedSet for $set {
            const NAMES: &'static [&'static str] = &[$($name),+];

            fn from_name(name: &str) -> Option<Self> {
                $set::from_name(name)
            }
        }
    };
}

/// The name that answers, tables and metrics give to a member that this build does not know.
pub const UNKNOWN: &str = "unknown";

/// A closed set as the gate checks a value against it.
pub trait ClosedSet: Sized {
    /// Every name, for messages that list the correct values.
    const NAMES: &'static [&'static str];

    /// The member with this name; names are case-sensitive.
    fn from_name(name: &str) -> Option<Self>;
}

closed_set!(
    /// The platform that an event comes from.
    Source { Facebook = 1 "facebook", Tiktok = 2 "tiktok" }
);
closed_set!(
    /// The place of an event in the funnel: attention (top) or intent (bottom).
    FunnelStage { Top = 1 "top", Bottom = 2 "bottom" }
);
closed_set!(
    /// The type of an event. It is unique only together with its source: `comment` and `video.view` exist in both.
    EventType {
        AdView = 1 "ad.view",
        PageLike = 2 "page.like",
        Comment = 3 "comment",
        VideoView = 4 "video.view",
        AdClick = 5 "ad.click",
        FormSubmission = 6 "form.submission",
        CheckoutComplete = 7 "checkout.complete",
        Like = 8 "like",
        Share = 9 "share",
        ProfileVisit = 10 "profile.visit",
        Purchase = 11 "purchase",
        Follow = 12 "follow",
    }
);
closed_set!(
    /// The gender of a Facebook user.
    Gender { Male = 1 "male", Female = 2 "female", NonBinary = 3 "non-binary" }
);
closed_set!(
    /// The part of Facebook where a top event happened.
    Referrer { Newsfeed = 1 "newsfeed", Marketplace = 2 "marketplace", Groups = 3 "groups" }
);
closed_set!(
    /// The part of a Facebook ad that a click hit.
    ClickPosition { TopLeft = 1 "top_left", BottomRight = 2 "bottom_right", Center = 3 "center" }
);
closed_set!(
    /// The device of a Facebook bottom event.
    FacebookDevice { Mobile = 1 "mobile", Desktop = 2 "desktop" }
);
closed_set!(
    /// The browser of a Facebook bottom event.
    Browser { Chrome = 1 "Chrome", Firefox = 2 "Firefox", Safari = 3 "Safari" }
);
closed_set!(
    /// The device of a TikTok top event.
    TiktokDevice { Android = 1 "Android", Ios = 2 "iOS", Desktop = 3 "Desktop" }
);

impl EventType {
    /// The types that a source has in a stage, in the order in which the stage's own enum numbers them from 1.
    #[must_use]
    #[inline]
    pub fn of(source: Source, stage: FunnelStage) -> &'static [EventType] {
        match (source, stage) {
            (Source::Facebook, FunnelStage::Top) => {
                &[EventType::AdView, EventType::PageLike, EventType::Comment, EventType::VideoView]
            }
            (Source::Facebook, FunnelStage::Bottom) => {
                &[EventType::AdClick, EventType::FormSubmission, EventType::CheckoutComplete]
            }
            (Source::Tiktok, FunnelStage::Top) => {
                &[EventType::VideoView, EventType::Like, EventType::Share, EventType::Comment]
            }
            (Source::Tiktok, FunnelStage::Bottom) => {
                &[EventType::ProfileVisit, EventType::Purchase, EventType::Follow]
            }
        }
    }

    /// The number in the enum of one stage, such as `TiktokTopEventType`; 0, which is UNSPECIFIED, for a type that the
    /// stage does not have.
    #[must_use]
    #[inline]
    pub fn number_in(self, source: Source, stage: FunnelStage) -> i32 {
        let position = Self::of(source, stage).iter().position(|of_stage| *of_stage == self);
        position.and_then(|position| i32::try_from(position + 1).ok()).unwrap_or_default()
    }

    /// The type with this number in the enum of one stage.
    #[must_use]
    #[inline]
    pub fn from_number_in(source: Source, stage: FunnelStage, number: i32) -> Option<Self> {
        let position = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::of(source, stage).get(position).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::event::v1;

    #[test]
    fn numbers_and_names_equal_those_of_the_proto_files() {
        for event_type in EventType::ALL {
            let name = v1::EventType::try_from(event_type.number()).unwrap().as_str_name();
            assert_eq!(name, format!("EVENT_TYPE_{}", event_type.name().replace('.', "_").to_uppercase()));
        }
        assert_eq!(Source::Tiktok.number(), v1::Source::Tiktok as i32);
        assert_eq!(FunnelStage::Bottom.number(), v1::FunnelStage::Bottom as i32);
        assert_eq!(Gender::NonBinary.number(), v1::Gender::NonBinary as i32);
        assert_eq!(Referrer::Groups.number(), v1::FacebookReferrer::Groups as i32);
        assert_eq!(ClickPosition::Center.number(), v1::ClickPosition::Center as i32);
        assert_eq!(FacebookDevice::Desktop.number(), v1::FacebookDevice::Desktop as i32);
        assert_eq!(Browser::Safari.number(), v1::Browser::Safari as i32);
        assert_eq!(TiktokDevice::Desktop.number(), v1::TiktokDevice::Desktop as i32);
    }

    #[test]
    fn every_type_belongs_to_a_stage_of_a_source() {
        let mut listed: Vec<EventType> = Source::ALL
            .iter()
            .flat_map(|source| FunnelStage::ALL.iter().flat_map(|stage| EventType::of(*source, *stage)))
            .copied()
            .collect();
        listed.sort();
        listed.dedup();
        assert_eq!(listed, EventType::ALL);
    }

    #[test]
    fn a_type_reads_back_from_its_number_in_a_stage() {
        let (source, stage) = (Source::Tiktok, FunnelStage::Top);
        assert_eq!(EventType::Comment.number_in(source, stage), v1::TiktokTopEventType::Comment as i32);
        for event_type in EventType::of(source, stage) {
            let number = event_type.number_in(source, stage);
            assert_eq!(EventType::from_number_in(source, stage, number), Some(*event_type));
        }
        assert_eq!(EventType::Purchase.number_in(source, stage), 0);
        assert_eq!(EventType::from_number_in(source, stage, 0), None);
    }

    #[test]
    fn a_number_of_a_newer_contract_has_the_name_unknown() {
        assert_eq!(
            (Source::name_of(1), Source::name_of(0), Source::name_of(99)),
            ("facebook", "unknown", "unknown")
        );
    }
}
