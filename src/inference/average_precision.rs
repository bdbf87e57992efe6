//! Mean average precision of detections, as COCO counts it (<https://cocodataset.org/#detection-eval>): the numbers are those of
//! `pycocotools`, which is followed step by step, ties included.

use super::Metrics;
use super::detections::Detection;
use crate::data::{Boxes, Dataset, TrueBox};

/// Overlaps from which on a detection is right: 0.5 to 0.95.
const OVERLAPS: usize = 10;
/// Places of recall at which precision is read: 0 to 1.
const RECALLS: usize = 101;
/// Detections of a category in a picture that count, the surest.
const MOST: usize = 100;
/// Pixels of an object that still counts; `pycocotools` calls these areas `all`.
const LARGEST_AREA: f64 = 1e10;
/// Coordinates up to this are shares of the picture, larger ones pixels.
const LARGEST_SHARE: f32 = 2.0;

/// How a network's numbers of classes stand for categories. Files do not tell it.
#[derive(Debug, Clone, Copy)]
enum Numbering {
    /// The category's own number, as torchvision's networks have it.
    Id,
    /// Its place, from 0.
    Place,
    /// Its place, from 1, behind a background.
    PlaceBehindBackground,
}

/// A detection in a picture: its sureness, left, top, width and height in the picture's pixels.
#[derive(Clone, Copy)]
struct Found {
    score: f64,
    edges: [f64; 4],
}

/// Average precision over overlaps of 0.5 to 0.95 and all categories with a box, and the same at 0.5 alone. `first` is the
/// position of the first sample. The numbering of classes is the one that fits the boxes best. `None` where no picture has a box,
/// or one of them cannot be read.
pub(super) fn average_precision(
    detections: &[Vec<Detection>],
    first: usize,
    boxes: &Boxes,
    data: &Dataset,
) -> Option<Metrics> {
    let all = || detections.iter().flatten();
    let is_share = all().all(|found| found.corners.iter().all(|edge| edge.abs() <= LARGEST_SHARE));
    let mut pictures = Vec::with_capacity(detections.len());
    for (at, detections) in detections.iter().enumerate() {
        let picture = boxes.picture(first + at)?;
        let seen = if is_share { [1, 1] } else { data.seen_size(first + at)? };
        let factor = |axis: usize| picture.size[axis] as f64 / seen[axis] as f64;
        let (x, y) = (factor(0), factor(1));
        let found = detections.iter().map(|detection| {
            let [left, top, right, bottom] = detection.corners.map(f64::from);
            let edges = [left * x, top * y, (right - left) * x, (bottom - top) * y];
            let score = f64::from(detection.score);
            (detection.class, Found { score, edges })
        });
        pictures.push((found.collect::<Vec<_>>(), picture.boxes.as_slice()));
    }
    let numberings = [Numbering::Id, Numbering::Place, Numbering::PlaceBehindBackground];
    let of_numbering = |numbering: Numbering| {
        let mut sums = ([0.0; OVERLAPS], 0_usize);
        for (place, category) in boxes.categories().iter().enumerate() {
            let number = match numbering {
                Numbering::Id => category.id,
                Numbering::Place => i64::try_from(place).ok()?,
                Numbering::PlaceBehindBackground => i64::try_from(place + 1).ok()?,
            };
            if let Some(precisions) = of_category(&pictures, place, number) {
                sums.0
                    .iter_mut()
                    .zip(precisions)
                    .for_each(|(sum, precision)| *sum += precision);
                sums.1 += 1;
            }
        }
        let categories = (sums.1 > 0).then_some(sums.1 as f64)?;
        let at_half = sums.0[0] / categories;
        Some((sums.0.iter().sum::<f64>() / categories / OVERLAPS as f64, at_half))
    };
    let best = numberings.into_iter().filter_map(of_numbering);
    let (mean, at_half) = best.reduce(|best, other| if other.0 > best.0 { other } else { best })?;
    Some(Metrics {
        mean_ap: Some(mean),
        mean_ap_50: Some(at_half),
        ..Metrics::default()
    })
}

type Pictures<'a> = [(Vec<(i64, Found)>, &'a [TrueBox])];

/// Average precision of one category at each overlap; `None` where no picture has a box of it that counts.
fn of_category(pictures: &Pictures<'_>, category: usize, number: i64) -> Option<[f64; OVERLAPS]> {
    let mut verdicts: Vec<(f64, [Verdict; OVERLAPS])> = Vec::new();
    let mut boxes = 0_usize;
    for (found, truth) in pictures {
        let mut found: Vec<Found> = (found.iter())
            .filter(|(class, _)| *class == number)
            .map(|(_, found)| *found)
            .collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(MOST);
        let mut truth: Vec<&TrueBox> = truth.iter().filter(|truth| truth.category == category).collect();
        truth.sort_by_key(|truth| ignored(truth));
        boxes += truth.iter().filter(|truth| !ignored(truth)).count();
        let truth: Vec<(&TrueBox, bool)> = truth.into_iter().map(|truth| (truth, ignored(truth))).collect();
        let matched = matches(&found, &truth);
        verdicts.extend(found.iter().zip(matched).map(|(found, verdict)| (found.score, verdict)));
    }
    if boxes == 0 {
        return None;
    }
    verdicts.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(std::array::from_fn(|overlap| {
        let verdicts = verdicts.iter().map(|(_, all)| all[overlap]);
        precision_over_recall(verdicts.filter(|verdict| *verdict != Verdict::Ignored), boxes)
    }))
}

/// Whether finding a box is neither right nor wrong.
fn ignored(truth: &TrueBox) -> bool {
    truth.crowd || !(0.0..=LARGEST_AREA).contains(&truth.area)
}

/// What a detection is at an overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    Ignored,
}

/// The verdict on each detection of a picture, the surest first: it takes the box that it overlaps most among those that are left,
/// and one that does not count only where no other does.
fn matches(found: &[Found], truth: &[(&TrueBox, bool)]) -> Vec<[Verdict; OVERLAPS]> {
    let overlaps: Vec<Vec<f64>> = found
        .iter()
        .map(|found| truth.iter().map(|(truth, _)| overlap(found.edges, truth)).collect())
        .collect();
    let mut verdicts = vec![[Verdict::Wrong; OVERLAPS]; found.len()];
    for (place, least) in thresholds().into_iter().enumerate() {
        let mut taken = vec![false; truth.len()];
        for (at, verdicts) in verdicts.iter_mut().enumerate() {
            let mut best = least.min(1.0 - 1e-10);
            let mut chosen: Option<usize> = None;
            for (number, (truth, ignored)) in truth.iter().enumerate() {
                if taken[number] && !truth.crowd {
                    continue;
                }
                if chosen.is_some() && *ignored {
                    break;
                }
                if overlaps[at][number] >= best {
                    best = overlaps[at][number];
                    chosen = Some(number);
                }
            }
            let [.., width, height] = found[at].edges;
            verdicts[place] = match chosen {
                Some(number) => {
                    taken[number] = true;
                    if truth[number].1 {
                        Verdict::Ignored
                    } else {
                        Verdict::Right
                    }
                }
                None if !(0.0..=LARGEST_AREA).contains(&(width * height)) => Verdict::Ignored,
                None => Verdict::Wrong,
            };
        }
    }
    verdicts
}

/// As `numpy.linspace(0.5, 0.95, 10)` has them.
fn thresholds() -> [f64; OVERLAPS] {
    let step = (0.95 - 0.5) / (OVERLAPS - 1) as f64;
    std::array::from_fn(|at| {
        if at + 1 == OVERLAPS {
            0.95
        } else {
            0.5 + at as f64 * step
        }
    })
}

/// Intersection over union; of a crowd over the detection alone.
fn overlap(found: [f64; 4], truth: &TrueBox) -> f64 {
    let shared = |axis: usize| {
        let end = |edges: [f64; 4]| edges[axis] + edges[axis + 2];
        end(found).min(end(truth.edges)) - found[axis].max(truth.edges[axis])
    };
    let (width, height) = (shared(0), shared(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let area = |edges: [f64; 4]| edges[2] * edges[3];
    let both = width * height;
    let union = if truth.crowd {
        area(found)
    } else {
        area(found) + area(truth.edges) - both
    };
    both / union
}

/// The mean over the recalls of the best precision from there on; detections come surest first.
fn precision_over_recall(verdicts: impl Iterator<Item = Verdict>, boxes: usize) -> f64 {
    let (mut right, mut wrong) = (0.0_f64, 0.0_f64);
    let mut curve: Vec<(f64, f64)> = verdicts
        .map(|verdict| {
            match verdict {
                Verdict::Right => right += 1.0,
                _ => wrong += 1.0,
            }
            (right / boxes as f64, right / (wrong + right + f64::EPSILON))
        })
        .collect();
    let mut best = 0.0_f64;
    for (_, precision) in curve.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let at = |number: usize| {
        // As `numpy.linspace(0, 1, 101)` has them.
        let recall = number as f64 * (1.0 / (RECALLS - 1) as f64);
        let place = curve.partition_point(|(known, _)| *known < recall);
        curve.get(place).map_or(0.0, |(_, precision)| *precision)
    };
    (0..RECALLS).map(at).sum::<f64>() / RECALLS as f64
}
