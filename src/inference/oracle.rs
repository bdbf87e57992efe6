//! Oracle OCS (Zhao et al. 2019): activation OCS that knows each batch before it runs. A bound, not a network.

use super::calibration::{gather, input_names};
use super::outputs::run_batches;
use super::{Dataset, Engine, Evaluation, InferenceError, Metrics, Outputs, QuantizedModel};
use crate::engine::UNOPTIMIZED;
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Activations, Plan, oracle_plan};
use crate::statistics::RangeSource;
use serde::Serialize;

/// How Oracle OCS compares with the float network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OracleMetrics {
    /// Metrics of its outputs.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// As [`Evaluation::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// As [`Evaluation::sqnr_db`].
    pub sqnr_db: Option<f64>,
}

impl From<Evaluation> for OracleMetrics {
    /// What an evaluation with Oracle OCS for the quantized network says of it.
    fn from(evaluation: Evaluation) -> Self {
        Self {
            metrics: evaluation.quantized,
            agreement: evaluation.agreement,
            sqnr_db: evaluation.sqnr_db,
        }
    }
}

/// Runs the first `limit` samples, each batch through a network of its own: the inputs of all layers are looked at in float,
/// and their grids and splits are chosen for that very batch, the channels with the largest |x| first. `engine` runs
/// `network`, which `plan` is for. Slow: twice the work, and a network is built for each batch.
///
/// # Errors
/// [`InferenceError`] of graph, data, engine, or `Cancelled`.
pub fn run_oracle(
    network: &Network,
    engine: &dyn Engine,
    plan: &Plan,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    if data.boxes().is_some() {
        let reason = format!("{}: Oracle OCS is not measured on boxes", data.name());
        return Err(InferenceError::Data(reason));
    }
    let names = input_names(network);
    run_batches(engine, data, 0..limit, progress, |inputs, output| {
        let mut seen = Activations::new();
        let values = engine.run_with(inputs, &names, UNOPTIMIZED)?;
        gather(&mut seen, &names, values, network, RangeSource::Calibration);
        let plan = oracle_plan(network, plan, &seen);
        let quantized = QuantizedModel::of(network, &plan)?.engine()?;
        Ok(quantized.run(inputs, &[output])?.pop())
    })
}
