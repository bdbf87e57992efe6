//! AWQ scaling (Lin et al. 2024, arXiv 2306.00978, section 3.2): columns of weights that meet large inputs are multiplied before they
//! are rounded, so that they are rounded more finely, and their inputs divided. Column j is scaled by `s_j = m_j^a`, where m_j
//! is the root mean square of its inputs (the paper takes their mean magnitude); of 21 strengths a the one is taken that leaves the
//! least error of the outputs of all layers that read the value, `tr(E H E')` for an error E of the weights and H = E[x x'].

use super::rewrite::grid_values;
use super::{Activations, Bits, InputMoments, Recipe, Rounding, WeightSettings, plan_layer};
use crate::network::{Columns, Layer, Network, NetworkError, OutAxis, Smoothing, scale_inputs};
use rayon::prelude::*;

/// Strengths a that are tried, from 0 (nothing is scaled) to 1.
const STRENGTHS: u32 = 20;

/// Scales stay within this factor of each other's geometric middle.
const WIDEST: f64 = 1e4;

/// The network with its inputs scaled as is best for weights on the grids of `recipe`. Groups of layers of which second moments
/// are not known, or none of which goes on a grid, stay as they are.
///
/// # Errors
/// [`NetworkError`] when a weight or a gain cannot be read.
pub(super) fn scaled_by_activations(
    network: &Network,
    recipe: &Recipe,
    known: &Activations,
) -> Result<Smoothing, NetworkError> {
    scale_inputs(network, |group| {
        let moments = group
            .layers
            .iter()
            .find_map(|(layer, _)| known.moments_of(&layer.name).ok());
        let on_grid: Vec<(&Layer, &[f32], WeightSettings)> = (group.layers.iter())
            .filter_map(|(layer, weights)| {
                let index = network.layer_index(&layer.name)?;
                let settings = recipe.effective(network, index).weights;
                let plain = WeightSettings {
                    expand_ratio: 0.0,
                    rounding: Rounding::Nearest,
                    ..settings
                };
                (settings.bits != Bits::Float).then_some((*layer, *weights, plain))
            })
            .collect();
        let Some(moments) = moments.filter(|moments| moments.columns() == group.channels && !on_grid.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(best_scales(group, &on_grid, moments)))
    })
}

fn best_scales(group: &Columns<'_>, layers: &[(&Layer, &[f32], WeightSettings)], moments: &InputMoments) -> Vec<f64> {
    let magnitudes: Vec<f64> = (0..group.channels)
        .map(|j| moments.moment(0, j, j).max(0.0).sqrt())
        .collect();
    let tried = (0..=STRENGTHS).into_par_iter().map(|strength| {
        let scales = scales(&magnitudes, f64::from(strength) / f64::from(STRENGTHS));
        let errors = layers
            .iter()
            .map(|(layer, weights, settings)| output_error(layer, weights, settings, &scales, moments));
        (errors.sum::<f64>(), scales)
    });
    let tried: Vec<(f64, Vec<f64>)> = tried.collect();
    // Of equals the first: the least scaling.
    let best = tried
        .into_iter()
        .reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map_or_else(|| vec![1.0; group.channels], |(_, scales)| scales)
}

/// `m_j^strength` over the middle of the largest and the least; 1 for a channel that is always 0.
fn scales(magnitudes: &[f64], strength: f64) -> Vec<f64> {
    let raised: Vec<f64> = magnitudes.iter().map(|m| m.powf(strength)).collect();
    let used = || {
        raised
            .iter()
            .zip(magnitudes)
            .filter(|(_, m)| **m > 0.0)
            .map(|(scale, _)| *scale)
    };
    let (least, most) = used().fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let middle = (least * most).sqrt();
    raised
        .iter()
        .zip(magnitudes)
        .map(|(scale, m)| match scale / middle {
            relative if *m > 0.0 && relative.is_normal() => relative.clamp(1.0 / WIDEST, WIDEST),
            _ => 1.0,
        })
        .collect()
}

/// `tr(E H E')` of a layer whose columns are scaled, rounded and divided again.
fn output_error(
    layer: &Layer,
    weights: &[f32],
    settings: &WeightSettings,
    scales: &[f64],
    moments: &InputMoments,
) -> f64 {
    let layout = &layer.layout;
    let column = |place: usize| place / layout.inner % layout.channels;
    let scaled: Vec<f32> = (weights.iter().enumerate())
        .map(|(place, w)| (f64::from(*w) * scales[column(place)]) as f32)
        .collect();
    let rounded = grid_values(&plan_layer(&scaled, layout, settings));
    let mut errors = vec![0.0_f32; weights.len()];
    for (place, (rounded, w)) in rounded.iter().zip(weights).enumerate() {
        let error = (f64::from(*rounded) / scales[column(place)] - f64::from(*w)) as f32;
        // Row by row of the outputs, whichever way the matrix lies.
        let at = match layout.out_axis {
            OutAxis::Outer => place,
            OutAxis::Inner => place % layout.inner * layout.channels + place / layout.inner,
        };
        errors[at] = error;
    }
    moments.output_error(0, &errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Format;
    use crate::onnx::build::{float_tensor, float_value_info, model_of, node};
    use crate::onnx::{GraphProto, numbers};
    use crate::quantization::Granularity;
    use std::sync::Arc;

    const INPUTS: usize = 32;
    const OUTPUTS: usize = 8;

    /// `y = (x gain) w`, with two channels far larger than the others and of small weights: there is room to scale them up.
    fn network() -> Network {
        let noise = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7 + seed) as f32 * 12.9898).sin()).collect()
        };
        let mut weights = noise(INPUTS * OUTPUTS, 1);
        for (place, w) in weights.iter_mut().enumerate() {
            *w *= if place / OUTPUTS % 16 == 3 { 0.1 } else { 1.0 };
        }
        let gain: Vec<f32> = (0..INPUTS).map(|j| if j % 16 == 3 { 20.0 } else { 1.0 }).collect();
        let graph = GraphProto {
            node: vec![
                node("Mul", "gain", ["x", "g"], ["n"], vec![]),
                node("MatMul", "layer", ["n", "w"], ["y"], vec![]),
            ],
            initializer: vec![
                float_tensor("g", &[INPUTS], &gain),
                float_tensor("w", &[INPUTS, OUTPUTS], &weights),
            ],
            input: vec![float_value_info("x", &[1, INPUTS as i64])],
            output: vec![float_value_info("y", &[1, OUTPUTS as i64])],
            ..GraphProto::default()
        };
        let model = model_of(17, graph);
        Network::new("test", None, Format::Onnx, model).unwrap()
    }

    fn gain(network: &Network) -> Vec<f32> {
        let graph = network.model.graph.as_ref().unwrap();
        let name = &graph.node[0].input[1];
        let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
        numbers(tensor).unwrap().to_vec()
    }

    /// `y` of every row of `x` with these weights.
    fn outputs(x: &[f32], gain: &[f32], weights: &[f32]) -> Vec<f64> {
        let row = |x: &[f32]| -> Vec<f64> {
            let output = |o: usize| {
                (0..INPUTS)
                    .map(|j| f64::from(x[j]) * f64::from(gain[j]) * f64::from(weights[j * OUTPUTS + o]))
                    .sum()
            };
            (0..OUTPUTS).map(output).collect()
        };
        x.chunks(INPUTS).flat_map(row).collect()
    }

    #[test]
    fn the_function_stays_and_the_error_of_rounded_outputs_falls() {
        let before = network();
        let x: Vec<f32> = (0..200 * INPUTS).map(|i| (i as f32 * 0.7391).sin()).collect();
        let inputs: Vec<f32> = x.iter().zip(gain(&before).iter().cycle()).map(|(x, g)| x * g).collect();
        let mut moments = InputMoments::new(1, INPUTS);
        moments.add(0, &inputs);
        let mut known = Activations::new();
        known.set_moments("layer", Ok(Arc::new(moments)));
        let recipe = Recipe {
            weight_bits: Bits::Grid(3),
            scales: Granularity::Channel,
            awq: true,
            ..Recipe::default()
        };
        let scaled = scaled_by_activations(&before, &recipe, &known).unwrap();
        assert_eq!(scaled.groups.len(), 1, "{:?}", scaled.skipped);
        let after = scaled.network;
        let float = outputs(&x, &gain(&before), &before.weights(0).unwrap());
        let most = float.iter().fold(0.0_f64, |most, y| most.max(y.abs()));
        for (a, b) in float.iter().zip(outputs(&x, &gain(&after), &after.weights(0).unwrap())) {
            assert!((a - b).abs() <= 1e-5 * most, "{a} {b}");
        }
        let error = |network: &Network| -> f64 {
            let settings = recipe.effective(network, 0).weights;
            let rounded = grid_values(&plan_layer(
                &network.weights(0).unwrap(),
                &network.layers[0].layout,
                &settings,
            ));
            let found = outputs(&x, &gain(network), &rounded);
            float.iter().zip(found).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let (plain, better) = (error(&before), error(&after));
        assert!(better < 0.5 * plain, "{plain} became {better}");
        // Nothing known, nothing changed; float weights are left alone.
        let unknown = scaled_by_activations(&before, &recipe, &Activations::new()).unwrap();
        assert!(unknown.groups.is_empty() && unknown.skipped.len() == 1);
        let float = Recipe {
            weight_bits: Bits::Float,
            ..recipe.clone()
        };
        assert!(
            scaled_by_activations(&before, &float, &known)
                .unwrap()
                .groups
                .is_empty()
        );
    }

    #[test]
    fn scales_are_about_1_and_dead_channels_stay() {
        let found = scales(&[1.0, 16.0, 0.0, 4.0], 0.5);
        assert_eq!(found, [0.5, 2.0, 1.0, 1.0]);
        assert_eq!(scales(&[1.0, 16.0, 0.0, 4.0], 0.0), [1.0; 4]);
        assert_eq!(scales(&[0.0, 0.0], 0.7), [1.0; 2]);
    }
}
