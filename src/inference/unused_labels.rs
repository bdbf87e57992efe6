//! Why labels that are there do not count: nothing that was given is left out in silence.

use super::detections::Detections;
use super::similarity::FEWEST;
use super::{Metrics, Outputs};
use crate::data::Dataset;

/// The reason why the labels of `data` do not judge the float network, whose metrics are `metrics`; `None` where they do, or where
/// there are none.
pub(super) fn unused_labels(float: &Outputs, metrics: &Metrics, data: &Dataset) -> Option<String> {
    if data.boxes().is_some() {
        return match &float.detections {
            Some(Detections::NotKnown(reason)) => Some(reason.to_string()),
            _ => None,
        };
    }
    if let Some(maps) = data.label_maps() {
        let [height, width] = maps.size();
        let output = match float.map {
            Some([planes, rows, columns]) => format!("{planes} x {rows} x {columns}"),
            None => "no map".to_owned(),
        };
        return metrics.mean_iou.is_none().then(|| {
            format!(
                "the label maps of the data are not used: they are {height} x {width} pixels of the output's classes or of none, the \
                 output is {output}, so there is no mean IoU"
            )
        });
    }
    if data.similarity_scores().is_some() {
        let pairs = metrics.pairs.unwrap_or(0);
        return metrics.pearson.is_none().then(|| {
            format!(
                "the scores of the data are not used: a correlation takes {FEWEST} pairs or more whose similarities differ, and \
                 {pairs} were run"
            )
        });
    }
    let labelled = !data.is_text() && data.label(float.first).is_some();
    (labelled && !float.classification).then(|| {
        "the labels of the data are not used: the output is not one number for each of several classes, so there is no accuracy"
            .to_owned()
    })
}
