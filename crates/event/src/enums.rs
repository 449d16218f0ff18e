//! The closed sets of the event format: each member has a name on the wire and the contract's enum number.
//!
//! The numbers are also what the database stores, so both are as frozen as the contract.

use std::fmt;

/// Declares a closed set: an enum whose members carry the contract's number and the wire's name.
macro_rules! closed_set {
    ($(#[$doc:meta])* $set:ident { $($member:ident = $number:literal $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $set { $($member = $number),+ }

        impl $set {
            /// Every member, in the order of the numbers.
            pub const ALL: &'static [$set] = &[$($set::$member),+];
            /// Every name, for messages that tell a sender what would have been right.
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($set::$member => $name),+ }
            }

            /// The member with this name; names are case-sensitive.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some($set::$member),)+ _ => None }
            }

            /// The contract's enum number, which is also what the database stores.
            #[must_use]
            pub fn number(self) -> i32 {
                self as i32
            }

            /// The member with this number; `None` for UNSPECIFIED and for numbers of newer contracts.
            #[must_use]
            pub fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some($set::$member),)+ _ => None }
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl ClosedSet for $set {
            const NAMES: &'static [&'static str] = $set::NAMES;

            fn from_name(name: &str) -> Option<Self> {
                $set::from_name(name)
            }
        }
    };
}

/// What the gate needs to check a value against a closed set.
pub(crate) trait ClosedSet: Sized {
    const NAMES: &'static [&'static str];
    fn from_name(name: &str) -> Option<Self>;
}

closed_set!(
    /// The platform that an event comes from.
    Source { Facebook = 1 "facebook", Tiktok = 2 "tiktok" }
);
closed_set!(
    /// Attention (top) or intent (bottom).
    FunnelStage { Top = 1 "top", Bottom = 2 "bottom" }
);
closed_set!(
    /// Unique only together with its source: `comment` and `video.view` exist in both.
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
    /// As Facebook tells it.
    Gender { Male = 1 "male", Female = 2 "female", NonBinary = 3 "non-binary" }
);
closed_set!(
    /// Where on Facebook a top event happened.
    Referrer { Newsfeed = 1 "newsfeed", Marketplace = 2 "marketplace", Groups = 3 "groups" }
);
closed_set!(
    /// Where on a Facebook ad a click landed.
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
    /// The types that a source has in a stage.
    #[must_use]
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir::contract::event::v1;

    #[test]
    fn numbers_are_the_contract_s() {
        for kind in EventType::ALL {
            let wire = v1::EventType::try_from(kind.number()).unwrap().as_str_name();
            assert_eq!(wire, format!("EVENT_TYPE_{}", kind.name().replace('.', "_").to_uppercase()));
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
}
