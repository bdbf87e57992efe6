//! Columns of tables for the metrics that pairs of sentences, maps of classes and boxes give.

use super::{Metrics, RowError};

/// Titles, in order. A contract with whoever reads the files.
pub(super) const TITLES: [&str; 11] = [
    "pairs",
    "pearson",
    "pearson_low",
    "pearson_high",
    "spearman",
    "spearman_low",
    "spearman_high",
    "mean_iou",
    "pixel_accuracy",
    "mean_ap",
    "mean_ap_50",
];

/// A cell for each of [`TITLES`]; empty where the metrics do not tell it.
pub(super) fn cells(metrics: &Metrics) -> [String; TITLES.len()] {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let low = |interval: Option<[f64; 2]>| number(interval.map(|[low, _]| low));
    let high = |interval: Option<[f64; 2]>| number(interval.map(|[_, high]| high));
    [
        metrics.pairs.map(|pairs| pairs.to_string()).unwrap_or_default(),
        number(metrics.pearson),
        low(metrics.pearson_interval),
        high(metrics.pearson_interval),
        number(metrics.spearman),
        low(metrics.spearman_interval),
        high(metrics.spearman_interval),
        number(metrics.mean_iou),
        number(metrics.pixel_accuracy),
        number(metrics.mean_ap),
        number(metrics.mean_ap_50),
    ]
}

/// Sets what the cells tell; `number` gives the number of the column of that title, `None` where it is empty or not there.
pub(super) fn read(
    metrics: &mut Metrics,
    number: impl Fn(&'static str) -> Result<Option<f64>, RowError>,
) -> Result<(), RowError> {
    let interval = |low, high| Ok::<_, RowError>(number(low)?.zip(number(high)?).map(|(low, high)| [low, high]));
    metrics.pairs = number("pairs")?.map(|pairs| pairs as usize);
    metrics.pearson = number("pearson")?;
    metrics.pearson_interval = interval("pearson_low", "pearson_high")?;
    metrics.spearman = number("spearman")?;
    metrics.spearman_interval = interval("spearman_low", "spearman_high")?;
    metrics.mean_iou = number("mean_iou")?;
    metrics.pixel_accuracy = number("pixel_accuracy")?;
    metrics.mean_ap = number("mean_ap")?;
    metrics.mean_ap_50 = number("mean_ap_50")?;
    Ok(())
}
