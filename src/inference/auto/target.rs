//! How long a run of the chosen network may take: settings are timed in an engine, and those that take longer are not chosen.

use super::settings::AutoSetting;
use super::{AutoSubject, InferenceError, search::out_of_reach};
use crate::engine;
use crate::inference::Dataset;
use crate::inference::sweep::{RowLatency, row_latency};
use crate::onnx;
use crate::progress::Progress;
use crate::quantization::ValueError;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The longest that a run on one sample may take, as the median of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LatencyTarget {
    /// Milliseconds.
    Ms(f64),
    /// That share of what the float network takes: 0.8 for a fifth less.
    Ratio(f64),
}

impl FromStr for LatencyTarget {
    type Err = ValueError;

    /// `20ms`, `0.8x`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number.filter(|number| *number > 0.0 && number.is_finite())
        };
        let ms = text.trim().strip_suffix("ms").and_then(number).map(Self::Ms);
        let ratio = text.trim().strip_suffix('x').and_then(number).map(Self::Ratio);
        ms.or(ratio).ok_or_else(|| {
            ValueError::not(
                "a latency is milliseconds such as 20ms, or a share of the float network's such as 0.8x",
                text,
            )
        })
    }
}

impl fmt::Display for LatencyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ms(ms) => write!(f, "{ms}ms"),
            Self::Ratio(ratio) => write!(f, "{ratio}x"),
        }
    }
}

/// What settings had to keep to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyLimit {
    /// The longest median of a run on one sample that was allowed, milliseconds.
    pub limit_ms: f64,
    /// The float network, timed in the same engine.
    pub float: RowLatency,
}

/// What times the bytes of a network on the first sample of some data.
pub(super) type Timer = fn(Vec<u8>, &Dataset, &Progress) -> Result<RowLatency, InferenceError>;

/// Times in the engine in which this process times networks: [`engine::EngineChoice::for_timing`].
pub(super) fn by_the_clock(model: Vec<u8>, data: &Dataset, progress: &Progress) -> Result<RowLatency, InferenceError> {
    row_latency(&engine::chosen().for_timing(), model, data, progress)
}

/// Times settings on the first sample to choose on, and tells which keep to the limit.
pub(super) struct Stopwatch {
    timer: Timer,
    limit: LatencyLimit,
}

impl Stopwatch {
    /// Times the float network.
    pub(super) fn new(
        subject: &AutoSubject<'_>,
        target: LatencyTarget,
        timer: Timer,
        progress: &Progress,
    ) -> Result<Self, InferenceError> {
        progress.start(1, "Timing the float network");
        let bytes = onnx::encode(&subject.network.runnable_model())?;
        let float = timer(bytes, subject.choose.data, progress)?;
        let limit_ms = match target {
            LatencyTarget::Ms(ms) => ms,
            LatencyTarget::Ratio(ratio) => ratio * float.time.median_ms,
        };
        Ok(Self {
            timer,
            limit: LatencyLimit { limit_ms, float },
        })
    }

    /// What settings have to keep to.
    pub(super) fn limit(&self) -> &LatencyLimit {
        &self.limit
    }

    /// Times a setting, from the bytes that an export writes. An engine that cannot run one setting does not end the search.
    pub(super) fn time(
        &self,
        subject: &AutoSubject<'_>,
        setting: &mut AutoSetting,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        if setting.latency.is_some() || setting.not_timed.is_some() {
            return Ok(());
        }
        progress.check()?;
        let part = progress.part();
        let bytes = subject.pipeline().quantize(&setting.recipe, &part)?.bytes()?;
        match (self.timer)(bytes, subject.choose.data, &part) {
            Ok(latency) => setting.latency = Some(latency),
            Err(InferenceError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(why) => setting.not_timed = Some(why.to_string()),
        }
        Ok(())
    }

    /// Whether a setting was timed and keeps to the limit.
    pub(super) fn allows(&self, setting: &AutoSetting) -> bool {
        (setting.latency.as_ref()).is_some_and(|latency| latency.time.median_ms <= self.limit.limit_ms)
    }

    /// What a person reads where none of `settings` keeps to the limit.
    pub(super) fn too_slow<'s>(&self, settings: impl Iterator<Item = &'s AutoSetting>) -> InferenceError {
        let (mut quickest, mut not_timed) = (None::<&RowLatency>, None);
        for setting in settings {
            if let Some(latency) = &setting.latency
                && quickest.is_none_or(|other| latency.time.median_ms < other.time.median_ms)
            {
                quickest = Some(latency);
            }
            not_timed = not_timed.or(setting.not_timed.as_ref());
        }
        let LatencyLimit { limit_ms, float } = &self.limit;
        let quickest = match (quickest, not_timed) {
            (Some(latency), _) => format!("the quickest takes {:.3} ms", latency.time.median_ms),
            (None, Some(why)) => format!("none could be timed: {why}"),
            (None, None) => "none was left to time".to_owned(),
        };
        out_of_reach(&format!(
            "no setting that is good enough runs a sample in {limit_ms:.3} ms: {quickest}, the float network {:.3} ms, in {}; \
             allow more time or bytes, or change the recipe (how splits are exported, products, storage)",
            float.time.median_ms, float.engine
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::inference::Latency;
    use crate::inference::auto::search::auto_timed;
    use crate::inference::auto::{AutoOptions, AutoResult, AutoSamples, Budget, Goal, RunLog};
    use crate::quantization::{Bits, Clip, Recipe, prepare};
    use prost::Message;
    use std::sync::Arc;

    #[test]
    fn a_target_is_milliseconds_or_a_share_of_float_and_says_which() {
        assert_eq!("20ms".parse(), Ok(LatencyTarget::Ms(20.0)));
        assert_eq!(" 0.5 ms".parse(), Ok(LatencyTarget::Ms(0.5)));
        assert_eq!("0.8x".parse(), Ok(LatencyTarget::Ratio(0.8)));
        for wrong in ["20", "0.8", "-1ms", "0x", "NaNms", "infx", "ms", ""] {
            let error = wrong.parse::<LatencyTarget>().unwrap_err().to_string();
            assert!(error.contains("20ms") && error.contains("0.8x"), "{wrong}: {error}");
        }
        for text in ["20ms", "0.8x"] {
            assert_eq!(text.parse::<LatencyTarget>().unwrap().to_string(), text);
        }
    }

    /// A millisecond for each Gather, which splits become, and one for anything else.
    fn by_gathers(model: Vec<u8>, _: &Dataset, _: &Progress) -> Result<RowLatency, InferenceError> {
        let model = onnx::ModelProto::decode(bytes::Bytes::from(model)).unwrap();
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        let gathers = nodes.filter(|node| node.op_type() == "Gather").count();
        let time = Latency {
            batch: 1,
            runs: 1,
            median_ms: 1.0 + gathers as f64,
            p95_ms: 1.0 + gathers as f64,
        };
        Ok(RowLatency {
            engine: "Gathers".to_owned(),
            time,
        })
    }

    /// Chosen for the demo at 4 bits, at most so many Gathers more than the float network's time allows.
    fn chosen(latency: Option<LatencyTarget>, goal: Goal, timer: Timer) -> Result<AutoResult, InferenceError> {
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            fold_batch_norm: true,
            ..Recipe::default()
        };
        let original = Demo::Fashion.network().unwrap();
        let network = prepare(&original, &recipe).unwrap();
        let engine = Rten::load(onnx::encode(&original.runnable_model()).unwrap()).unwrap();
        let (data, progress) = (Arc::new(Dataset::demo(Demo::Fashion)), Progress::default());
        let samples = AutoSamples::of(&engine, &data, None, (Some(30), 60), &progress)?;
        let options = AutoOptions {
            bits: vec![4, 5],
            clips: vec![Clip::None, Clip::Mse],
            latency,
            ..AutoOptions::new(goal)
        };
        let mut log = RunLog::default();
        auto_timed(
            &samples.subject(&network, None),
            &recipe,
            &options,
            &mut log,
            timer,
            &progress,
        )
    }

    #[test]
    fn settings_that_take_too_long_are_not_chosen() {
        let goal = Goal::Budget(Budget::Overhead(0.1));
        let has_splits = |result: &AutoResult| result.layers.iter().any(|layer| layer.splits > 0);
        let free = chosen(None, goal, by_gathers).unwrap();
        assert!(has_splits(&free) && free.latency.is_none() && free.auto.latency.is_none());
        // What nothing exceeds changes nothing.
        let loose = chosen(Some(LatencyTarget::Ms(1e6)), goal, by_gathers).unwrap();
        assert_eq!(loose.auto.recipe, free.auto.recipe);
        assert!(loose.auto.latency.unwrap().time.median_ms > 1.0);
        for target in [LatencyTarget::Ms(1.5), LatencyTarget::Ratio(1.2)] {
            let tight = chosen(Some(target), goal, by_gathers).unwrap();
            assert!(!has_splits(&tight), "{target}: splits cost a Gather each");
            assert_eq!(tight.auto.latency.unwrap().time.median_ms, 1.0);
            assert_eq!(tight.latency.unwrap().float.engine, "Gathers");
            // Still chosen by layers, and no worse than plain where it was chosen.
            assert!(tight.auto.chosen_on.noise() < tight.plain.chosen_on.noise());
        }
    }

    #[test]
    fn an_accuracy_and_a_latency_are_kept_together() {
        let result = chosen(Some(LatencyTarget::Ms(1.0)), Goal::Accuracy(0.8), by_gathers).unwrap();
        assert!(result.auto.chosen_on.accuracy() >= Some(0.8));
        assert_eq!(result.auto.latency.unwrap().time.median_ms, 1.0);
    }

    #[test]
    fn where_nothing_is_quick_enough_the_quickest_is_told() {
        let goal = Goal::Budget(Budget::Overhead(0.1));
        let reason = |timer: Timer| match chosen(Some(LatencyTarget::Ms(0.5)), goal, timer) {
            Err(InferenceError::OutOfReach(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let slow = reason(by_gathers);
        assert!(
            slow.contains("in 0.500 ms: the quickest takes 1.000 ms, the float network 1.000 ms, in Gathers"),
            "{slow}"
        );
        // The float network has no DequantizeLinear.
        let refused = reason(|model, data, progress| {
            let quantized = model.windows(16).any(|name| name == b"DequantizeLinear");
            match quantized {
                true => Err(InferenceError::Data("no kernel".to_owned())),
                false => by_gathers(model, data, progress),
            }
        });
        assert!(refused.contains("none could be timed: no kernel"), "{refused}");
    }
}
