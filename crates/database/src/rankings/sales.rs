//! Sales of campaigns by minute: deltas that storing transactions write.

use std::ops::{AddAssign, SubAssign};

use crate::blob::{BlobReader, MalformedBlob, push_signed, push_text, push_varint};

const VERSION: u8 = 1;
const NAME: &str = "a delta of sales";

/// The sum of some transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sales {
    pub transactions: i64,
    /// Ten-thousandths of the currency.
    pub amount: i128,
}

/// The sales of one campaign in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CampaignSales<'a> {
    /// Minutes of event time since the Unix epoch.
    pub minute: i64,
    pub campaign_id: &'a str,
    pub sales: Sales,
}

/// Encoded sales, some 45 bytes each.
#[derive(Clone, Debug)]
pub struct SalesDelta {
    data: Vec<u8>,
    last: i64,
    transactions: i64,
    minutes: Option<(i64, i64)>,
}

impl Default for SalesDelta {
    fn default() -> Self {
        Self { data: vec![VERSION], last: 0, transactions: 0, minutes: None }
    }
}

impl SalesDelta {
    pub fn push(&mut self, CampaignSales { minute, campaign_id, sales }: CampaignSales<'_>) {
        push_signed(&mut self.data, minute - self.last);
        self.last = minute;
        let (first, last) = self.minutes.unwrap_or((minute, minute));
        self.minutes = Some((first.min(minute), last.max(minute)));
        self.transactions += sales.transactions;
        push_text(&mut self.data, campaign_id);
        push_sales(&mut self.data, sales);
    }

    #[must_use]
    pub fn transactions(&self) -> i64 {
        self.transactions
    }

    /// The earliest and the latest minute; `None` without sales.
    #[must_use]
    pub fn minutes(&self) -> Option<(i64, i64)> {
        self.minutes
    }

    #[must_use]
    pub fn into_blob(self) -> Vec<u8> {
        self.data
    }

    /// Decodes sales in the order in which they were pushed.
    ///
    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &[u8]) -> Result<Vec<CampaignSales<'_>>, MalformedBlob> {
        let mut reader = BlobReader::new(blob, VERSION, NAME)?;
        let (mut all, mut minute) = (Vec::with_capacity(blob.len() / 45), 0_i64);
        while !reader.is_empty() {
            minute = minute.wrapping_add(reader.signed()?);
            let campaign_id = reader.text()?;
            all.push(CampaignSales { minute, campaign_id, sales: read_sales(&mut reader)? });
        }
        Ok(all)
    }
}

pub(super) fn push_sales(blob: &mut Vec<u8>, sales: Sales) {
    push_signed(blob, sales.transactions);
    push_amount(blob, sales.amount);
}

pub(super) fn read_sales(reader: &mut BlobReader<'_>) -> Result<Sales, MalformedBlob> {
    Ok(Sales { transactions: reader.signed()?, amount: read_amount(reader)? })
}

/// Writes an amount as its upper and its lower 64 bits; small ones are short.
pub(super) fn push_amount(blob: &mut Vec<u8>, amount: i128) {
    push_signed(blob, (amount >> u64::BITS) as i64);
    push_varint(blob, amount as u64);
}

pub(super) fn read_amount(reader: &mut BlobReader<'_>) -> Result<i128, MalformedBlob> {
    let upper = i128::from(reader.signed()?);
    Ok((upper << u64::BITS) | i128::from(reader.varint()?))
}

impl AddAssign for Sales {
    fn add_assign(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.amount += other.amount;
    }
}

impl SubAssign for Sales {
    fn sub_assign(&mut self, other: Self) {
        self.transactions -= other.transactions;
        self.amount -= other.amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_read_as_it_was_written() {
        let of = |minute, campaign_id, transactions, amount| CampaignSales {
            minute,
            campaign_id,
            sales: Sales { transactions, amount },
        };
        let all = [
            of(29_000_000, "camp-1", 1, 1_230_000),
            of(28_999_999, "", 3, 0),
            of(-5, "ü", -1, -7),
            of(0, "camp-1", i64::MAX - 3, i128::from(i64::MAX) * 40_000),
        ];
        let mut delta = SalesDelta::default();
        assert_eq!(delta.minutes(), None);
        all[..3].iter().for_each(|sales| delta.push(*sales));
        assert_eq!((delta.minutes(), delta.transactions()), (Some((-5, 29_000_000)), 3));
        delta.push(all[3]);
        assert_eq!(SalesDelta::read(&delta.into_blob()).unwrap(), all);
    }

    #[test]
    fn a_damaged_delta_is_malformed() {
        let mut delta = SalesDelta::default();
        delta.push(CampaignSales { minute: 1, campaign_id: "camp-1", sales: Sales::default() });
        let blob = delta.into_blob();
        assert!(SalesDelta::read(&blob[..blob.len() - 1]).is_err());
        assert!(SalesDelta::read(&[2]).is_err());
    }
}
