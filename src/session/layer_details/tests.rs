//! Details of a layer of the demo against its plan.

use super::*;
use crate::format::demo::Demo;
use crate::progress::Progress;
use crate::quantization::{NO_INPUTS, Recipe, plan};
use crate::session::PrepareKey;
use crate::session::layer_view::LayerView;
use std::sync::Arc;

#[test]
fn the_marks_are_where_a_plan_would_clip_and_the_heat_holds_every_weight() {
    let progress = Progress::default();
    let network = Arc::new(crate::format::open(std::path::Path::new(Demo::Fashion.name())).unwrap());
    let analysis = Analysis::new(network, 4.0, &progress).unwrap();
    let index = analysis.worst_layer().unwrap();
    let mut recipe = Recipe {
        weight_bits: crate::quantization::Bits::Grid(4),
        expand_ratio: 0.1,
        ..Recipe::default()
    };
    let view_key = LayerViewKey {
        layer: index,
        prepared: PrepareKey::of(&recipe, (crate::session::CalibrationSource::DataFree, None)),
        settings: recipe.settings(&analysis.network, index),
        moments: None,
        plan: None,
        range: None,
    };
    let view = LayerView::compute(&analysis, &view_key, (NO_INPUTS, None), None, &progress).unwrap();
    let key = LayerDetailsKey {
        view: view_key,
        calibration: None,
    };
    let after = view.after.as_deref().unwrap();
    let details = LayerDetails::compute(&analysis, &key, Some(after), None, &progress).unwrap();
    assert_eq!(details.clips.len(), Clip::CHOICES.len());
    for mark in &details.clips {
        recipe.clip = mark.clip;
        let planned = plan(&analysis.network, &recipe, None, &progress).unwrap();
        let threshold = planned.layers[index].quantized().unwrap().threshold;
        assert_eq!(threshold, mark.threshold, "{}", mark.clip);
    }
    let sum = |heat: &Heat| heat.counts.iter().map(|n| u64::from(*n)).sum::<u64>();
    let weights = analysis.network.layers[index].parameters();
    assert_eq!(
        (sum(&details.input_heat), sum(&details.output_heat)),
        (weights, weights)
    );
    assert_eq!(
        sum(details.input_heat_after.as_ref().unwrap()),
        after.split.len() as u64
    );
    assert_eq!(
        details.input_heat_after.as_ref().unwrap().channels,
        details.input_heat.channels
    );
    assert_eq!(details.fits.count as usize, after.split.len());

    // The channels counted apart are those of the largest weights, and every split lowers the level.
    let splits = after.quantized.splits.len();
    assert!(splits > 0 && view.levels[splits] < view.levels[0]);
    let apart: Vec<usize> = view.stacked.iter().map(|channel| channel.channel).collect();
    let rest = (0..view.channels.len()).filter(|channel| !apart.contains(channel));
    let largest = rest.map(|channel| view.channels[channel]).fold(0.0, f32::max);
    assert!(!apart.is_empty() && apart.iter().all(|channel| view.channels[*channel] >= largest));
}
