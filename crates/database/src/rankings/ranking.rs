//! The ranking of one bucket: its campaigns by revenue, and the place of those that are not in it.

use std::{cmp::Reverse, collections::HashMap, fmt};

use datasketches::hll::{HllSketch, HllType, HllUnion};

use super::sales::{Sales, push_amount, push_sales, read_amount, read_sales};
use crate::blob::{BlobReader, MalformedBlob, push_text, push_varint};

const VERSION: u8 = 1;
const NAME: &str = "a ranking of campaigns";
/// A ranking with more campaigns is cut to half of them, so that not every sale of a new campaign cuts it again. A
/// report names a thousand at most.
const MOST_RANKED: usize = 4_096;
const LEFT_AFTER_CUT: usize = MOST_RANKED / 2;

/// The binary logarithm of the registers that count distinct campaigns, of a byte each.
const LG_K: u8 = 11;
/// Three standard errors of such a count, of 1.04 / sqrt(2^11) each.
const LARGEST_ERROR: f64 = 3.0 * 0.023;

/// A place in an order by revenue descending, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    amount: Reverse<i128>,
    name: Box<str>,
}

/// The ranking of a bucket, to be changed.
pub struct Ranking {
    campaigns: HashMap<Box<str>, Sales>,
    /// Every campaign that is not in the ranking has a place after this one. `None` where all campaigns are in it.
    rest: Option<Place>,
    distinct: HllSketch,
}

/// The first campaigns of a bucket. They follow from its sales alone, in whatever steps these were added.
#[derive(Debug)]
pub struct RankedCampaigns<'a> {
    /// By revenue descending, then by name.
    pub campaigns: Vec<(&'a str, Sales)>,
    /// Every other campaign has a place after this one. `None` where there is no other campaign.
    pub rest: Option<Place>,
    distinct: HllSketch,
}

/// The number of different campaigns in several buckets.
pub struct DistinctCampaigns(HllUnion);

impl Place {
    #[must_use]
    pub fn new(amount: i128, name: &str) -> Self {
        Self { amount: Reverse(amount), name: name.into() }
    }

    /// The revenue at this place, in ten-thousandths.
    #[must_use]
    pub fn amount(&self) -> i128 {
        self.amount.0
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Default for Ranking {
    fn default() -> Self {
        Self { campaigns: HashMap::new(), rest: None, distinct: new_sketch() }
    }
}

impl Ranking {
    /// Decodes a ranking.
    ///
    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &[u8]) -> Result<Self, MalformedBlob> {
        let (mut reader, rest, distinct) = read_head(blob)?;
        let mut campaigns = HashMap::new();
        while !reader.is_empty() {
            campaigns.insert(reader.text()?.into(), read_sales(&mut reader)?);
        }
        Ok(Self { campaigns, rest, distinct })
    }

    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = vec![VERSION];
        let distinct = self.distinct.serialize();
        push_varint(&mut blob, distinct.len() as u64);
        blob.extend_from_slice(&distinct);
        blob.push(self.rest.is_some().into());
        if let Some(rest) = &self.rest {
            push_amount(&mut blob, rest.amount());
            push_text(&mut blob, &rest.name);
        }
        for (name, sales) in self.in_order() {
            push_text(&mut blob, name);
            push_sales(&mut blob, sales);
        }
        blob
    }

    /// The sales of a campaign, where the ranking tells them: those of a campaign that is in it, and none of others
    /// where it is complete.
    #[must_use]
    pub fn sales(&self, campaign_id: &str) -> Option<Sales> {
        let ranked = self.campaigns.get(campaign_id).copied();
        ranked.or_else(|| self.rest.is_none().then(Sales::default))
    }

    /// Sets all sales of a campaign in the bucket. A campaign that is not in the ranking must not have lost any.
    pub fn set(&mut self, campaign_id: &str, sales: Sales) {
        self.distinct.update(campaign_id);
        if self.campaigns.contains_key(campaign_id) || !self.leaves_out(campaign_id, sales.amount) {
            self.campaigns.insert(campaign_id.into(), sales);
        }
        if self.campaigns.len() > MOST_RANKED {
            self.cut();
        }
    }

    /// The number of ranked campaigns.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no caller asks whether it is empty")]
    pub fn len(&self) -> usize {
        self.campaigns.len()
    }

    /// Counts a campaign that the ranking leaves out among the different ones.
    pub fn count(&mut self, campaign_id: &str) {
        self.distinct.update(campaign_id);
    }

    /// Whether a campaign with this revenue, in ten-thousandths, that is not in the ranking is rightly left out.
    #[must_use]
    pub fn leaves_out(&self, campaign_id: &str, amount: i128) -> bool {
        self.rest.as_ref().is_some_and(|rest| Place::new(amount, campaign_id) >= *rest)
    }

    fn in_order(&self) -> Vec<(&str, Sales)> {
        let mut all: Vec<(&str, Sales)> =
            self.campaigns.iter().map(|(name, sales)| (&**name, *sales)).collect();
        all.sort_unstable_by_key(|(name, sales)| (Reverse(sales.amount), *name));
        all
    }

    /// Leaves the last campaigns out.
    fn cut(&mut self) {
        let mut all: Vec<(Box<str>, Sales)> = self.campaigns.drain().collect();
        all.sort_unstable_by(|(name, sales), (other, others)| {
            (Reverse(sales.amount), name).cmp(&(Reverse(others.amount), other))
        });
        let (name, sales) = &all[LEFT_AFTER_CUT];
        // A place before the present one: only such campaigns were taken in.
        let rest = Place::new(sales.amount, name);
        self.rest = Some(self.rest.take().map_or(rest.clone(), |before| before.min(rest)));
        all.truncate(LEFT_AFTER_CUT);
        self.campaigns = all.into_iter().collect();
    }
}

impl<'a> RankedCampaigns<'a> {
    /// Decodes the first `most` campaigns of a ranking, at least one, or fewer where it leaves campaigns out.
    ///
    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &'a [u8], most: usize) -> Result<Self, MalformedBlob> {
        let (mut reader, rest, distinct) = read_head(blob)?;
        // How many more it has at the moment follows from the steps in which sales were added.
        let most = if rest.is_some() { most.min(LEFT_AFTER_CUT) } else { most }.max(1);
        let mut campaigns = Vec::new();
        while !reader.is_empty() && campaigns.len() < most {
            campaigns.push((reader.text()?, read_sales(&mut reader)?));
        }
        let is_cut = rest.is_some() || !reader.is_empty();
        let last = campaigns.last().map(|(name, sales)| Place::new(sales.amount, name));
        Ok(Self { campaigns, rest: last.filter(|_| is_cut), distinct })
    }
}

/// What comes before the campaigns of a ranking, and a reader of those.
fn read_head(blob: &[u8]) -> Result<(BlobReader<'_>, Option<Place>, HllSketch), MalformedBlob> {
    let mut reader = BlobReader::new(blob, VERSION, NAME)?;
    let malformed = reader.malformed();
    let length = usize::try_from(reader.varint()?).map_err(|_| malformed)?;
    let distinct = HllSketch::deserialize(reader.take(length)?).map_err(|_| malformed)?;
    let rest = match reader.byte()? {
        0 => None,
        1 => Some(Place::new(read_amount(&mut reader)?, reader.text()?)),
        _ => return Err(malformed),
    };
    Ok((reader, rest, distinct))
}

impl Default for DistinctCampaigns {
    fn default() -> Self {
        Self(HllUnion::new(LG_K).expect("the constant is within the library's bounds"))
    }
}

impl DistinctCampaigns {
    /// Counts the campaigns of a bucket, too.
    pub fn unite(&mut self, bucket: &RankedCampaigns<'_>) {
        self.0.update(&bucket.distinct);
    }

    /// The least number of different campaigns, with an error of three standard deviations taken off.
    #[must_use]
    pub fn at_least(&self) -> u64 {
        (self.0.composite_estimate() * (1.0 - LARGEST_ERROR)) as u64
    }
}

fn new_sketch() -> HllSketch {
    HllSketch::new(LG_K, HllType::Hll8).expect("the constant is within the library's bounds")
}

impl fmt::Debug for Ranking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { campaigns, rest, .. } = self;
        formatter.debug_struct("Ranking").field("campaigns", &campaigns.len()).field("rest", rest).finish()
    }
}

impl fmt::Debug for DistinctCampaigns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("DistinctCampaigns").field(&self.at_least()).finish()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn sales(transactions: i64, amount: i128) -> Sales {
        Sales { transactions, amount }
    }

    #[test]
    fn a_small_ranking_has_every_campaign_in_order() {
        let mut ranking = Ranking::default();
        ranking.set("b", sales(1, 5));
        ranking.set("c", sales(1, 7));
        ranking.set("a", sales(2, 5));
        ranking.set("c", sales(2, 6));
        let blob = ranking.to_blob();
        let read = RankedCampaigns::read(&blob, 9).unwrap();
        assert_eq!(read.campaigns, [("c", sales(2, 6)), ("a", sales(2, 5)), ("b", sales(1, 5))]);
        assert_eq!(read.rest, None);
        assert_eq!(ranking.sales("a"), Some(sales(2, 5)));
        assert_eq!(ranking.sales("d"), Some(Sales::default()));
    }

    #[test]
    fn campaigns_behind_the_first_ones_belong_to_the_rest() {
        let mut ranking = Ranking::default();
        ["a", "b", "c"].iter().for_each(|name| ranking.set(name, sales(1, 5)));
        let blob = ranking.to_blob();
        let read = RankedCampaigns::read(&blob, 2).unwrap();
        assert_eq!(read.campaigns, [("a", sales(1, 5)), ("b", sales(1, 5))]);
        assert_eq!(read.rest, Some(Place::new(5, "b")));
    }

    /// The model is a plain map of every campaign.
    #[test]
    fn every_campaign_is_ranked_rightly_or_left_out_rightly() {
        for seed in 0..4 {
            let mut random = StdRng::seed_from_u64(seed);
            let (mut ranking, mut all) = (Ranking::default(), HashMap::<String, Sales>::new());
            // Few amounts make many equal places.
            let amounts = [2, 50, 1_000_000][random.random_range(0..3)];
            for _ in 0..30_000 {
                let name = format!("camp-{}", random.random_range(0..9_000));
                let whole = all.entry(name.clone()).or_default();
                *whole += sales(1, random.random_range(0..amounts));
                ranking.set(&name, *whole);
                if random.random_bool(0.001) {
                    ranking = Ranking::read(&ranking.to_blob()).unwrap();
                }
            }
            assert!(ranking.rest.is_some() && ranking.campaigns.len() >= LEFT_AFTER_CUT);
            for (name, whole) in &all {
                match ranking.sales(name) {
                    Some(ranked) => assert_eq!(ranked, *whole, "{name}, seed {seed}"),
                    None => assert!(ranking.leaves_out(name, whole.amount), "{name}, seed {seed}"),
                }
            }
        }
    }

    #[test]
    fn the_first_campaigns_are_the_same_in_whatever_steps_sales_were_added() {
        let mut random = StdRng::seed_from_u64(7);
        let mut all: Vec<(String, Sales)> = (0..9_000)
            .map(|number| (format!("camp-{number}"), sales(1, random.random_range(0..2_000))))
            .collect();
        let read = |all: &[(String, Sales)]| {
            let mut ranking = Ranking::default();
            all.iter().for_each(|(name, sales)| ranking.set(name, *sales));
            let blob = ranking.to_blob();
            let ranked = RankedCampaigns::read(&blob, 9_000).unwrap();
            let names: Vec<String> = ranked.campaigns.iter().map(|(name, _)| (*name).to_owned()).collect();
            (names, ranked.rest)
        };
        let first = read(&all);
        assert_eq!(first.0.len(), LEFT_AFTER_CUT);
        all.reverse();
        assert_eq!(read(&all), first);
    }

    #[test]
    fn distinct_campaigns_are_counted_once_in_any_order() {
        let blob_of = |numbers: std::ops::Range<u32>| {
            let mut ranking = Ranking::default();
            numbers.for_each(|number| ranking.set(&format!("camp-{number}"), sales(1, 1)));
            ranking.to_blob()
        };
        let blobs = [blob_of(0..60_000), blob_of(50_000..120_000), blob_of(0..3)];
        let united = |order: [usize; 3]| {
            let mut distinct = DistinctCampaigns::default();
            for index in order {
                distinct.unite(&RankedCampaigns::read(&blobs[index], 0).unwrap());
            }
            distinct.at_least()
        };
        let least = united([0, 1, 2]);
        assert!((100_000..=120_000).contains(&least), "{least}");
        assert_eq!(united([2, 1, 0]), least);
    }

    #[test]
    fn a_damaged_ranking_is_malformed() {
        let mut ranking = Ranking::default();
        ranking.set("camp-1", sales(1, 5));
        let blob = ranking.to_blob();
        for end in 0..blob.len() - 1 {
            assert!(Ranking::read(&blob[..end]).is_err() || end == blob.len() - 10, "{end}");
        }
    }
}
