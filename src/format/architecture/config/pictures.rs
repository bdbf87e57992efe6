//! transformers' `preprocessor_config.json`: how pictures are resized, cropped and normalized.

use super::{finite, side};
use crate::network::{Interpolation, PreprocessHint};
use serde_json::Value;

/// What the file says; nothing for a file that is none.
pub(super) fn preprocess(root: &Value) -> PreprocessHint {
    // A step that is switched off leaves its numbers in the file.
    let done = |key: &str| root.get(key).and_then(Value::as_bool).unwrap_or(true);
    let normalizes = done("do_normalize");
    let numbers = |key: &str| {
        let numbers: Option<Vec<f32>> = root.get(key)?.as_array()?.iter().map(finite).collect();
        numbers.filter(|numbers| !numbers.is_empty() && normalizes)
    };
    let resized = root.get("size").filter(|_| done("do_resize"));
    let cropped = root
        .get("crop_size")
        .filter(|_| done("do_center_crop"))
        .and_then(rectangle);
    let shortest = resized.and_then(|size| side(size.get("shortest_edge").unwrap_or(size)));
    let crop = match (cropped, shortest) {
        (Some([height, width]), Some(shortest)) if height == width => Some(height as f32 / shortest as f32),
        _ => root.get("crop_pct").and_then(finite),
    };
    PreprocessHint {
        mean: numbers("image_mean"),
        std: numbers("image_std").filter(|std| std.iter().all(|std| *std > 0.0)),
        size: cropped.or_else(|| resized.and_then(rectangle)),
        crop: crop.filter(|crop| *crop > 0.0 && *crop <= 1.0),
        interpolation: root.get("resample").and_then(Value::as_u64).and_then(interpolation),
        ..PreprocessHint::default()
    }
}

/// One number for both sides, or both by name.
fn rectangle(size: &Value) -> Option<[usize; 2]> {
    let square = side(size)
        .or_else(|| side(size.get("shortest_edge")?))
        .map(|side| [side; 2]);
    square.or_else(|| Some([side(size.get("height")?)?, side(size.get("width")?)?]))
}

/// By its number in the Pillow library.
fn interpolation(number: u64) -> Option<Interpolation> {
    Some(match number {
        0 => Interpolation::Nearest,
        1 => Interpolation::Lanczos,
        2 => Interpolation::Bilinear,
        3 => Interpolation::Bicubic,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_a_size_is_read() {
        // google/vit-base-patch16-224, facebook/deit-base-patch16-224, microsoft/resnet-50.
        let vit = preprocess(&json!({"do_resize": true, "size": {"height": 224, "width": 192}, "resample": 2}));
        assert_eq!((vit.size, vit.crop), (Some([224, 192]), None));
        assert_eq!(vit.interpolation, Some(Interpolation::Bilinear));
        let deit = preprocess(
            &json!({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
                                      "do_center_crop": true}),
        );
        assert_eq!((deit.size, deit.crop), (Some([224, 224]), Some(0.875)));
        let resnet = preprocess(&json!({"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}));
        assert_eq!((resnet.size, resnet.crop), (Some([224, 224]), Some(0.875)));
    }

    #[test]
    fn steps_that_are_switched_off_and_nonsense_say_nothing() {
        let off = json!({"do_normalize": false, "image_mean": [0.5], "image_std": [0.5], "do_center_crop": false,
                         "crop_size": 224, "do_resize": false, "size": 256});
        assert_eq!(preprocess(&off), PreprocessHint::default());
        let nonsense = json!({"size": -1, "crop_size": "x", "resample": 9, "image_std": [0], "image_mean": [[]],
                              "crop_pct": 7});
        assert_eq!(preprocess(&nonsense), PreprocessHint::default());
        assert_eq!(preprocess(&Value::Null), PreprocessHint::default());
    }
}
