//! The one number that a network is judged by on some data: what `evaluate` prints first, sweeps rank by, and searches optimise.

use super::Metrics;

/// What networks are judged by: the best that the data can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// Fraction whose first answer is the label; more is better.
    Top1,
    /// Perplexity of a text; less is better.
    Perplexity,
    /// Mean intersection over union of the classes of pixels; more is better.
    MeanIou,
    /// Mean average precision of boxes; more is better.
    MeanAp,
    /// Correlation (Pearson) of the cosines of pairs of sentences with how alike people say they are; more is better.
    Pearson,
    /// Output SQNR in decibels; more is better.
    Sqnr,
}

impl Score {
    /// Scores that labels or a text tell. No data tell two of them.
    pub const BY_LABELS: [Self; 5] = [Self::Top1, Self::Perplexity, Self::MeanIou, Self::MeanAp, Self::Pearson];

    /// The score that `metrics` tell; [`Score::Sqnr`] where they tell none.
    pub fn of_metrics(metrics: &Metrics) -> Self {
        let told = |score: &Self| score.of(metrics).is_some();
        Self::BY_LABELS.into_iter().find(told).unwrap_or(Self::Sqnr)
    }

    /// Its value among `metrics`; `None` where they do not tell it, as they never tell SQNR.
    pub fn of(self, metrics: &Metrics) -> Option<f64> {
        match self {
            Self::Top1 => metrics.top1,
            Self::Perplexity => metrics.perplexity,
            Self::MeanIou => metrics.mean_iou,
            Self::MeanAp => metrics.mean_ap,
            Self::Pearson => metrics.pearson,
            Self::Sqnr => None,
        }
    }

    /// The 95 % confidence interval of [`Score::of`], low and high, where it is known.
    pub fn interval_of(self, metrics: &Metrics) -> Option<[f64; 2]> {
        match self {
            Self::Top1 => metrics.top1_interval,
            Self::Perplexity => metrics.perplexity_interval,
            Self::Pearson => metrics.pearson_interval,
            Self::MeanIou | Self::MeanAp | Self::Sqnr => None,
        }
    }

    /// How much worse `quantized` is than `float`, as a share: points of the score over 100, of perplexity by how much of the float
    /// network's it has grown. Negative where it is better; `None` where one of them does not tell the score.
    pub fn lost(self, float: &Metrics, quantized: &Metrics) -> Option<f64> {
        let (float, quantized) = (self.of(float)?, self.of(quantized)?);
        Some(match self {
            Self::Perplexity => quantized / float - 1.0,
            Self::Top1 | Self::MeanIou | Self::MeanAp | Self::Pearson | Self::Sqnr => float - quantized,
        })
    }

    /// Name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top-1",
            Self::Perplexity => "perplexity",
            Self::MeanIou => "mean IoU",
            Self::MeanAp => "mAP",
            Self::Pearson => "Pearson",
            Self::Sqnr => "output SQNR",
        }
    }

    /// Name for a person, with the unit in which [`Score::show`] writes.
    pub fn label(self) -> &'static str {
        match self {
            Self::Top1 => "top-1 %",
            Self::Sqnr => "SQNR dB",
            Self::Perplexity | Self::MeanIou | Self::MeanAp | Self::Pearson => self.name(),
        }
    }

    /// What it is, in a sentence.
    pub fn help(self) -> &'static str {
        match self {
            Self::Top1 => "Share of samples whose first answer is right.",
            Self::Perplexity => "Between how many tokens the network hesitates, on average. Less is better.",
            Self::MeanIou => "Intersection over union of the pixels of a class, mean over the classes.",
            Self::MeanAp => {
                "Average precision of boxes, mean over overlaps of 0.5 to 0.95 and categories, as COCO counts it."
            }
            Self::Pearson => {
                "Correlation of the similarities of pairs of sentences with how alike people say they are."
            }
            Self::Sqnr => "Strength of the outputs over strength of their error against the float network.",
        }
    }

    /// Whether `one` is truly better than `other`.
    pub fn better(self, one: f64, other: f64) -> bool {
        match self {
            Self::Perplexity => one < other,
            Self::Top1 | Self::MeanIou | Self::MeanAp | Self::Pearson | Self::Sqnr => one > other,
        }
    }

    /// A value in the unit of [`Score::label`]: shares of samples in percent, the others as they are.
    pub fn on_axis(self, value: f64) -> f64 {
        match self {
            Self::Top1 => value * 100.0,
            Self::Perplexity | Self::MeanIou | Self::MeanAp | Self::Pearson | Self::Sqnr => value,
        }
    }

    /// A value of this score as written in tables, in the unit of [`Score::label`].
    pub fn show(self, value: f64) -> String {
        let value = self.on_axis(value);
        match self {
            Self::Top1 => format!("{value:.2}"),
            Self::Perplexity => fixed(value, 3),
            Self::MeanIou | Self::MeanAp | Self::Pearson => format!("{value:.4}"),
            Self::Sqnr => format!("{value:.1}"),
        }
    }

    /// [`Score::show`] with the unit behind it.
    pub fn show_with_unit(self, value: f64) -> String {
        let unit = match self {
            Self::Top1 => " %",
            Self::Sqnr => " dB",
            Self::Perplexity | Self::MeanIou | Self::MeanAp | Self::Pearson => "",
        };
        self.show(value) + unit
    }
}

/// Whether a number, such as the perplexity of a network that knows nothing, is too large to be written in full.
pub fn is_huge(value: f64) -> bool {
    value.is_finite() && value.abs() >= 1e6
}

/// So many digits behind the point; three in all where the number is huge: `31.91`, `4.70e26`.
pub fn fixed(value: f64, decimals: usize) -> String {
    if is_huge(value) {
        format!("{value:.2e}")
    } else {
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_tell_by_which_number_networks_are_judged() {
        assert_eq!(Score::of_metrics(&Metrics::default()), Score::Sqnr);
        let pairs = Metrics {
            pearson: Some(0.8),
            pearson_interval: Some([0.7, 0.9]),
            spearman: Some(0.7),
            ..Metrics::default()
        };
        let score = Score::of_metrics(&pairs);
        assert_eq!((score, score.of(&pairs)), (Score::Pearson, Some(0.8)));
        assert_eq!(score.interval_of(&pairs), Some([0.7, 0.9]));
        let worse = Metrics {
            pearson: Some(0.75),
            ..Metrics::default()
        };
        assert!((score.lost(&pairs, &worse).unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(score.lost(&pairs, &Metrics::default()), None);
        let hesitating = |perplexity: f64| Metrics {
            perplexity: Some(perplexity),
            ..Metrics::default()
        };
        let grown = Score::Perplexity.lost(&hesitating(4.0), &hesitating(5.0));
        assert_eq!(grown, Some(0.25));
        assert!(score.better(0.8, 0.7) && Score::Perplexity.better(3.0, 4.0));
        let shown = [Score::Top1.show_with_unit(0.5), Score::Pearson.show_with_unit(0.5)];
        assert_eq!(shown, ["50.00 %", "0.5000"]);
        let shown = [999_999.0, 4.7e25, f64::INFINITY].map(|perplexity| Score::Perplexity.show(perplexity));
        assert_eq!(shown, ["999999.000", "4.70e25", "inf"]);
    }
}
