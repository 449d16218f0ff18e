//! Request templates: a request is written once and sent many times, each time with new ids.

use std::{net::SocketAddr, ops::Range};

use chrono::Utc;
use weir_testkit::events::{CAMPAIGN_DIGITS, Generator, SERIAL_LENGTH, serial_number};

/// The texts before the ids of an event. The ids are hexadecimal digits, which differ in every request.
const EVENT_ID: &str = "\"eventId\":\"";
const USER_ID: &str = "\"userId\":\"";
const CAMPAIGN_ID: &str = "\"campaignId\":\"camp-";

/// A POST with its head and its body.
#[derive(Clone, Debug)]
pub(crate) struct RequestTemplate {
    bytes: Vec<u8>,
    offsets: Vec<Offsets>,
    generator: Generator,
    /// The number of the next event. No other template uses it.
    next: u64,
}

/// The offsets of an event's ids in the request.
#[derive(Clone, Debug)]
struct Offsets {
    event: usize,
    user: usize,
    campaign: Option<usize>,
}

impl RequestTemplate {
    /// Templates of arrays with so many events for a server's `/events`, one for each connection. No event and no user
    /// comes twice.
    pub(crate) fn arrays(server: SocketAddr, connections: usize, events: usize, run: u64) -> Vec<Self> {
        Self::several(connections, run, |generator, numbers| {
            let items: Vec<String> =
                generate(generator, numbers.start..numbers.start + events as u64).collect();
            post(server, &format!("[{}]", items.join(",")))
        })
    }

    /// Templates of single events for a server's `/events`, one for each connection.
    pub(crate) fn singles(server: SocketAddr, connections: usize, run: u64) -> Vec<Self> {
        Self::several(connections, run, |generator, numbers| {
            post(server, &generate(generator, numbers.start..numbers.start + 1).collect::<String>())
        })
    }

    fn several(connections: usize, run: u64, request: impl Fn(Generator, Range<u64>) -> String) -> Vec<Self> {
        // A connection sends fewer events than this.
        const SPACE: u64 = 1 << 32;
        let generator = Generator::all_new(run);
        let template = |connection: u64| {
            let numbers = connection * SPACE..(connection + 1) * SPACE;
            // Another event type for every connection.
            let request = request(generator, numbers.start + connection..numbers.end);
            Self { offsets: offsets(&request), bytes: request.into_bytes(), generator, next: numbers.start }
        };
        (0..connections as u64).map(template).collect()
    }

    /// The number of events in the request.
    pub(crate) fn events(&self) -> u64 {
        self.offsets.len() as u64
    }

    /// The request with new ids.
    pub(crate) fn renew(&mut self) -> &[u8] {
        let Self { bytes, offsets, generator, next } = self;
        for event in offsets.iter() {
            let (id, user) = (serial_number(generator.run, *next), serial_number(generator.run, !*next));
            put(&mut bytes[event.event..event.event + SERIAL_LENGTH], id);
            put(&mut bytes[event.user..event.user + SERIAL_LENGTH], user);
            if let Some(campaign) = event.campaign {
                put(&mut bytes[campaign..campaign + CAMPAIGN_DIGITS], user);
            }
            *next += 1;
        }
        bytes
    }
}

fn generate(generator: Generator, numbers: Range<u64>) -> impl Iterator<Item = String> {
    let now = Utc::now();
    numbers.map(move |number| generator.event(number, now).json)
}

fn post(server: SocketAddr, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /events HTTP/1.1\r\nhost: {server}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n\
         {body}"
    )
}

fn offsets(request: &str) -> Vec<Offsets> {
    let starts: Vec<usize> = request.match_indices(EVENT_ID).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([request.len()]);
    starts.iter().zip(ends).map(|(start, end)| of_event(request, *start..end)).collect()
}

fn of_event(request: &str, event: Range<usize>) -> Offsets {
    let behind = |key: &str| request[event.clone()].find(key).map(|at| event.start + at + key.len());
    let id = behind(EVENT_ID).expect("an event has an id");
    let dash = request[id..].find('-').expect("an id has a prefix");
    Offsets {
        event: id + dash + 1,
        user: behind(USER_ID).expect("an event has a user"),
        campaign: behind(CAMPAIGN_ID),
    }
}

/// Writes the lowest bits of a number in hexadecimal. Dashes stay.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev().filter(|digit| **digit != b'-') {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}
