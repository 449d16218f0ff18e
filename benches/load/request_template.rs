//! A request that is written once and sent many times, each time of new events.

use std::{net::SocketAddr, ops::Range};

use chrono::Utc;
use weir_testkit::events::{CAMPAIGN_DIGITS, Crowd, SERIAL_DIGITS, Writer, serial};

/// What of an event differs each time, and where it stands: hexadecimal digits.
const EVENT_ID: &str = "\"eventId\":\"";
const USER_ID: &str = "\"userId\":\"";
const CAMPAIGN_ID: &str = "\"campaignId\":\"camp-";

/// A POST with its head, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    marks: Vec<AttributeHashes>,
    writer: Writer,
    /// Numbers of events that nobody else takes.
    next: u64,
}

/// Where an event's ids stand.
#[derive(Clone, Debug)]
struct AttributeHashes {
    event: usize,
    user: usize,
    campaign: Option<usize>,
}

impl Template {
    /// Arrays of so many events to a server's `/events`, one template for each connection; every event and every user is
    /// another one.
    pub(crate) fn arrays(server: SocketAddr, connections: usize, events: usize, run: u64) -> Vec<Self> {
        Self::several(connections, run, |writer, numbers| {
            let items: Vec<String> = write(writer, numbers.start..numbers.start + events as u64).collect();
            post(server, &format!("[{}]", items.join(",")))
        })
    }

    /// Single events to a server's path.
    pub(crate) fn singles(server: SocketAddr, connections: usize, run: u64) -> Vec<Self> {
        Self::several(connections, run, |writer, numbers| {
            post(server, &write(writer, numbers.start..numbers.start + 1).collect::<String>())
        })
    }

    fn several(connections: usize, run: u64, request: impl Fn(Writer, Range<u64>) -> String) -> Vec<Self> {
        // A connection sends fewer events than that.
        const SPACE: u64 = 1 << 32;
        let writer = Writer { run, crowd: Crowd::EachNew };
        let template = |connection: u64| {
            let numbers = connection * SPACE..(connection + 1) * SPACE;
            // Of another kind for every connection.
            let request = request(writer, numbers.start + connection..numbers.end);
            Self { marks: marks(&request), bytes: request.into_bytes(), writer, next: numbers.start }
        };
        (0..connections as u64).map(template).collect()
    }

    /// How many events it has.
    pub(crate) fn events(&self) -> u64 {
        self.marks.len() as u64
    }

    /// The request, with events that it never had before.
    pub(crate) fn renew(&mut self) -> &[u8] {
        let Self { bytes, marks, writer, next } = self;
        for mark in marks.iter() {
            let (event, user) = (serial(writer.run, *next), serial(writer.run, !*next));
            put(&mut bytes[mark.event..mark.event + SERIAL_DIGITS], event);
            put(&mut bytes[mark.user..mark.user + SERIAL_DIGITS], user);
            if let Some(campaign) = mark.campaign {
                put(&mut bytes[campaign..campaign + CAMPAIGN_DIGITS], user);
            }
            *next += 1;
        }
        bytes
    }
}

fn write(writer: Writer, numbers: Range<u64>) -> impl Iterator<Item = String> {
    let now = Utc::now();
    numbers.map(move |number| writer.write(number, now).json)
}

fn post(server: SocketAddr, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /events HTTP/1.1\r\nhost: {server}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n\
         {body}"
    )
}

fn marks(request: &str) -> Vec<AttributeHashes> {
    let starts: Vec<usize> = request.match_indices(EVENT_ID).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([request.len()]);
    starts.iter().zip(ends).map(|(start, end)| of_event(request, *start..end)).collect()
}

fn of_event(request: &str, event: Range<usize>) -> AttributeHashes {
    let behind = |key: &str| request[event.clone()].find(key).map(|at| event.start + at + key.len());
    let id = behind(EVENT_ID).expect("an event has an id");
    let dash = request[id..].find('-').expect("an id has a prefix");
    AttributeHashes {
        event: id + dash + 1,
        user: behind(USER_ID).expect("an event has a user"),
        campaign: behind(CAMPAIGN_ID),
    }
}

/// The lowest bits in hexadecimal.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}
