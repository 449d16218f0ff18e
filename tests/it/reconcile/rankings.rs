//! Rankings of campaigns: a damaged one is found and made anew, and a repair of campaigns leaves no wrong ranking.

use sea_orm::{ActiveModelTrait as _, EntityTrait as _, PaginatorTrait as _, Set};
use weir_collectors::{rankings::Rankings, reconcile::Subject};
use weir_database::{
    entity::campaign_rankings,
    rankings::{RankedCampaigns, Ranking, Sales},
};

use super::*;

on_both_databases!(
    a_damaged_ranking_is_found_and_made_anew,
    rankings_of_repaired_campaigns_are_made_anew,
    sales_that_wait_are_no_difference,
    a_missing_hour_of_a_right_day_and_a_ranking_that_cannot_be_read_are_found,
);

async fn rank_all(rankings: &Rankings) {
    while rankings.add_sales().await.unwrap() > 0 {}
}

/// Gives the first campaign of every ranking one ten-thousandth more.
async fn damage_rankings(migrated: &DatabaseConnection) -> usize {
    let stored = campaign_rankings::Entity::find().all(migrated).await.unwrap();
    for row in &stored {
        let mut ranking = Ranking::read(&row.data).unwrap();
        let name = RankedCampaigns::read(&row.data, 1).unwrap().campaigns[0].0.to_owned();
        let Sales { transactions, amount } = ranking.sales(&name).unwrap();
        ranking.set(&name, Sales { transactions, amount: amount + 1 });
        let damaged = campaign_rankings::ActiveModel { data: Set(ranking.to_blob()), ..row.clone().into() };
        damaged.update(migrated).await.unwrap();
    }
    stored.len()
}

async fn a_damaged_ranking_is_found_and_made_anew(database: Database) {
    let (migrated, reader) = loaded(&database, 31).await;
    let rankings = Rankings::new(&Store::new(&migrated));
    rank_all(&rankings).await;
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    let damaged = damage_rankings(&migrated).await;
    let differences = differences_in(&reader, Period::default()).await;
    assert_eq!(differences.len(), damaged, "{differences:?}");
    for difference in &differences {
        assert_eq!((&difference.subject, difference.evidence), (&Subject::Ranking, Evidence::Campaigns));
        assert_eq!(difference.written.iter().collect::<Vec<_>>(), [(Measure::Misplaced, 1)]);
    }
    repair_and_check(&database, &migrated, &reader).await;
    assert_eq!(rankings.rebuild().await.unwrap(), 0, "the repaired rankings are complete");
}

async fn rankings_of_repaired_campaigns_are_made_anew(database: Database) {
    let (migrated, reader) = loaded(&database, 32).await;
    let rankings = Rankings::new(&Store::new(&migrated));
    // The ranking takes the damage in.
    damage(&migrated, "UPDATE campaign_rollups SET amount_low = amount_low + 5").await;
    damage(&migrated, "DELETE FROM campaign_deltas").await;
    while rankings.rebuild().await.unwrap() > 0 {}
    assert!(repair_all(&database, &reader, Period::default()).await > 0);
    while rankings.rebuild().await.unwrap() > 0 {}
    assert!(campaign_rankings::Entity::find().count(&migrated).await.unwrap() > 10);
    assert_eq!(differences_in(&reader, Period::default()).await, []);
}

async fn sales_that_wait_are_no_difference(database: Database) {
    let (migrated, reader) = loaded(&database, 33).await;
    let store = Store::new(&migrated);
    rank_all(&Rankings::new(&store)).await;
    for frames in frames(34, 25).chunks(5) {
        store_all(&store, frames).await;
    }
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    damage_rankings(&migrated).await;
    assert!(!differences_in(&reader, Period::default()).await.is_empty());
    repair_and_check(&database, &migrated, &reader).await;
    rank_all(&Rankings::new(&store)).await;
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    assert_eq!(Rankings::new(&store).rebuild().await.unwrap(), 0);
}

async fn a_missing_hour_of_a_right_day_and_a_ranking_that_cannot_be_read_are_found(database: Database) {
    let (migrated, reader) = loaded(&database, 35).await;
    let rankings = Rankings::new(&Store::new(&migrated));
    rank_all(&rankings).await;
    damage(&migrated, "DELETE FROM campaign_rankings WHERE grain = 2").await;
    damage(&migrated, "UPDATE campaign_rankings SET data = '' WHERE grain = 3").await;
    assert_eq!(rankings.rebuild().await.unwrap(), 0, "the sums of the days are right");
    let differences = differences_in(&reader, Period::default()).await;
    assert!(differences.iter().all(|difference| difference.subject == Subject::Ranking), "{differences:?}");
    for grain in [Grain::Hour, Grain::Day] {
        assert!(differences.iter().any(|difference| difference.grain == grain), "{differences:?}");
    }
    repair_and_check(&database, &migrated, &reader).await;
}
