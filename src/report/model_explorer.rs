//! Numbers of layers for Model Explorer (Google AI Edge), which colours the nodes of a graph by them.
//!
//! Its custom node data are a JSON object from graph names to `results` (by the id of a node or the name of a value that it
//! makes), with a `gradient` of colours from the least value (stop 0) to the greatest (stop 1). A file holds one number a node,
//! so each [`Metric`] has a file of its own. Nodes go by their names, which an export keeps (and which the adapter for ONNX takes as
//! ids); a node without a name goes by the value that it makes.

use super::gather::{LayerReport, Report};
use super::palette::{LIGHT, Rgb, hex};
use serde::Serialize;
use std::collections::BTreeMap;

/// A number that each layer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The error of the weights under the recipe, decibels.
    Sqnr,
    /// Weights beyond the set number of standard deviations.
    Outliers,
    /// Bits of the weights; 32 for a layer that stays float.
    Bits,
    /// Input channels that were split.
    Splits,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 4] = [Self::Sqnr, Self::Outliers, Self::Bits, Self::Splits];

    /// Stands in the name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqnr => "sqnr_db",
            Self::Outliers => "outliers",
            Self::Bits => "bits",
            Self::Splits => "splits",
        }
    }

    /// The number of a layer; `None` where it has none.
    fn of(self, layer: &LayerReport) -> Option<f64> {
        let quantized = layer.outcome.as_ref();
        let value = match self {
            Self::Sqnr => layer.sqnr_db()?,
            Self::Outliers => {
                layer.statistics.as_ref().ok()?;
                layer.outliers as f64
            }
            Self::Bits => quantized.map_or(32.0, |quantized| f64::from(quantized.grid.bits)),
            Self::Splits => quantized.map_or(0.0, |quantized| quantized.splits.len() as f64),
        };
        value.is_finite().then_some(value)
    }

    /// Colours from the least value to the greatest: what hurts stands out.
    fn gradient(self) -> [Stop; 2] {
        let ([bad, good], pale) = (LIGHT.sqnr, [0xf2, 0xf4, 0xf6]);
        match self {
            Self::Sqnr => stops(bad, good),
            Self::Outliers => stops(pale, LIGHT.outlier),
            Self::Bits => stops(LIGHT.quantized, pale),
            Self::Splits => stops(pale, LIGHT.split),
        }
    }
}

#[derive(Serialize)]
struct GraphData {
    results: BTreeMap<String, Value>,
    gradient: [Stop; 2],
}

#[derive(Serialize)]
struct Value {
    value: f64,
}

#[derive(Serialize)]
struct Stop {
    stop: u8,
    #[serde(rename = "bgColor")]
    ground: String,
    #[serde(rename = "textColor")]
    text: &'static str,
}

fn stops(least: Rgb, greatest: Rgb) -> [Stop; 2] {
    let stop = |stop: u8, color: Rgb| {
        let lightness: u32 = color
            .iter()
            .zip([299, 587, 114])
            .map(|(c, weight)| u32::from(*c) * weight)
            .sum();
        Stop {
            stop,
            ground: hex(color),
            text: if lightness > 140_000 { "#000000" } else { "#ffffff" },
        }
    };
    [stop(0, least), stop(1, greatest)]
}

impl Report {
    /// The layers' numbers as Model Explorer's custom node data, indented JSON. Of several layers at one node (W and R of a
    /// recurrent one) the first counts for bits, the sum for counts, the worse for SQNR. `None` for a file without a graph.
    ///
    /// # Errors
    /// What keeps it from being written as JSON.
    pub fn model_explorer(&self, metric: Metric) -> Result<Option<String>, serde_json::Error> {
        let mut results: BTreeMap<String, Value> = BTreeMap::new();
        let named = self
            .layers
            .iter()
            .filter_map(|layer| Some((layer.node.clone()?, metric.of(layer)?)));
        for (node, value) in named {
            let joined = match (results.get(&node), metric) {
                (None, _) => value,
                (Some(first), Metric::Bits) => first.value,
                (Some(first), Metric::Sqnr) => first.value.min(value),
                (Some(first), Metric::Outliers | Metric::Splits) => first.value + value,
            };
            results.insert(node, Value { value: joined });
        }
        if self.layers.iter().all(|layer| layer.node.is_none()) {
            return Ok(None);
        }
        let data = GraphData {
            results,
            gradient: metric.gradient(),
        };
        let graphs = BTreeMap::from([(self.graph.as_str(), data)]);
        serde_json::to_string_pretty(&graphs).map(|text| Some(text + "\n"))
    }
}
