//! What a deployment may choose of its collectors.

use weir::process::args::Mistakes;

/// Batches of one source that one process stores at once. More than the store's pool can carry would only wait.
const MAX_WORKERS: usize = 4;

/// The knobs of the collectors.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Collectors")]
pub struct CollectorArgs {
    /// Batches of one source that are stored at once, 1 to 4; by default 2, on SQLite 1.
    #[arg(long, env = "COLLECTOR_WORKERS", value_name = "NUMBER")]
    pub collector_workers: Option<String>,
}

impl CollectorArgs {
    /// The number, where one is given; mistakes go to `mistakes`.
    pub fn workers(&self, mistakes: &mut Mistakes) -> Option<usize> {
        let text = self.collector_workers.as_deref()?;
        let number = text.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number));
        mistakes.check(
            "COLLECTOR_WORKERS",
            number.ok_or_else(|| format!("'{text}' is no number from 1 to {MAX_WORKERS}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_a_mistake() {
        for (text, number, mistaken) in [
            (None, None, false),
            (Some("4"), Some(4), false),
            (Some("0"), None, true),
            (Some("many"), None, true),
        ] {
            let mut mistakes = Mistakes::default();
            let args = CollectorArgs { collector_workers: text.map(str::to_owned) };
            assert_eq!(args.workers(&mut mistakes), number);
            assert_eq!(mistakes.into_result().is_err(), mistaken, "{text:?}");
        }
    }
}
