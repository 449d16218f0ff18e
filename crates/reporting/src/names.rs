//! Names of the contract's closed sets: rows with equal figures are ordered by them, as on the wire, and not by number.
//!
//! A number of a newer contract has no name here. Its rows are counted all the same and come first among equals.

use weir::contract::event::v1::{EventType, FunnelStage, Gender, Source, TiktokDevice};

pub(crate) fn source(number: i32) -> &'static str {
    match Source::try_from(number) {
        Ok(Source::Facebook) => "facebook",
        Ok(Source::Tiktok) => "tiktok",
        Ok(Source::Unspecified) | Err(_) => "",
    }
}

pub(crate) fn funnel_stage(number: i32) -> &'static str {
    match FunnelStage::try_from(number) {
        Ok(FunnelStage::Top) => "top",
        Ok(FunnelStage::Bottom) => "bottom",
        Ok(FunnelStage::Unspecified) | Err(_) => "",
    }
}

pub(crate) fn event_type(number: i32) -> &'static str {
    match EventType::try_from(number) {
        Ok(EventType::AdView) => "ad.view",
        Ok(EventType::PageLike) => "page.like",
        Ok(EventType::Comment) => "comment",
        Ok(EventType::VideoView) => "video.view",
        Ok(EventType::AdClick) => "ad.click",
        Ok(EventType::FormSubmission) => "form.submission",
        Ok(EventType::CheckoutComplete) => "checkout.complete",
        Ok(EventType::Like) => "like",
        Ok(EventType::Share) => "share",
        Ok(EventType::ProfileVisit) => "profile.visit",
        Ok(EventType::Purchase) => "purchase",
        Ok(EventType::Follow) => "follow",
        Ok(EventType::Unspecified) | Err(_) => "",
    }
}

pub(crate) fn gender(number: i32) -> &'static str {
    match Gender::try_from(number) {
        Ok(Gender::Male) => "male",
        Ok(Gender::Female) => "female",
        Ok(Gender::NonBinary) => "non-binary",
        Ok(Gender::Unspecified) | Err(_) => "",
    }
}

pub(crate) fn tiktok_device(number: i32) -> &'static str {
    match TiktokDevice::try_from(number) {
        Ok(TiktokDevice::Android) => "Android",
        Ok(TiktokDevice::Ios) => "iOS",
        Ok(TiktokDevice::Desktop) => "Desktop",
        Ok(TiktokDevice::Unspecified) | Err(_) => "",
    }
}
