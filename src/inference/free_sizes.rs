//! Sizes that are tried for axes which a network leaves free, where there are no data that tell how long they are.

use super::calibration::sizes;
use super::{InferenceError, Port};
use crate::data::FreeSizes;
use crate::printable::short;
use crate::progress::Cancelled;

/// Heights and widths that are tried behind the usual ones: of detectors, of lines of text, of small pictures.
const SIDES: [usize; 12] = [320, 64, 128, 256, 299, 384, 448, 512, 640, 800, 1024, 1280];

/// Lengths that are tried behind the usual ones: of sequences, of frames of speech, of a second of sound and more.
const STEPS: [usize; 12] = [2, 8, 16, 64, 128, 256, 512, 1000, 3000, 16_000, 48_000, 160_000];

/// What is tried first where a network runs on noise: pictures of 224 x 224 or 32 x 32, sequences of 32 steps. On a single step nothing
/// is remembered and nothing else attended to, so that recurrent weights, queries and keys would do nothing: it comes late.
pub(super) const OF_NOISE: [FreeSizes; 6] = [(224, 32), (32, 32), (224, 8), (224, 1), (32, 1), (224, 512)];

/// What is tried, one after the other: `usual`, then further heights and widths, then further lengths.
pub(super) fn tried(usual: &[FreeSizes]) -> Vec<FreeSizes> {
    let (side, steps) = usual.first().copied().unwrap_or((224, 1));
    let sides = SIDES.iter().map(|further| (*further, steps));
    let lengths = STEPS.iter().map(|further| (side, *further));
    usual.iter().copied().chain(sides).chain(lengths).collect()
}

/// What `run` gives for the first of the sizes that it succeeds with, and those; sizes that make no difference to `ports` are
/// tried once.
///
/// # Errors
/// What `run` fails with for the first sizes, and how many others were tried; at once where it was cancelled.
pub(super) fn first_that_runs<T>(
    ports: &[Port],
    usual: &[FreeSizes],
    mut run: impl FnMut(FreeSizes) -> Result<T, InferenceError>,
) -> Result<(T, FreeSizes), InferenceError> {
    let mut seen: Vec<Vec<Vec<usize>>> = Vec::new();
    let mut first = None;
    for free in tried(usual) {
        match sizes(ports, free) {
            Ok(shapes) if seen.contains(&shapes) => continue,
            Ok(shapes) => seen.push(shapes),
            Err(error) => {
                first.get_or_insert(error);
                continue;
            }
        }
        match run(free) {
            Ok(found) => return Ok((found, free)),
            Err(error @ InferenceError::Cancelled(Cancelled)) => return Err(error),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    let error = first.unwrap_or_else(|| InferenceError::Data("the network has no input".to_owned()));
    Err(match seen.len() {
        0 | 1 => error,
        others => InferenceError::Data(format!(
            "{error} ({others} sizes of the axes that its inputs leave free were tried)"
        )),
    })
}

/// The shapes of one sample at these sizes, for the inputs that leave an axis free besides that of the samples.
pub(super) fn chosen(ports: &[Port], free: FreeSizes) -> Vec<(String, Vec<usize>)> {
    let Ok(shapes) = sizes(ports, free) else {
        return Vec::new();
    };
    let is_free = |axis: usize, port: &Port| port.shape.as_ref().is_some_and(|sizes| sizes.get(axis) == Some(&None));
    let of_port = |(port, mut shape): (&Port, Vec<usize>)| {
        let sample_axis = port.sample_axis();
        if !(0..shape.len()).any(|axis| axis != sample_axis && is_free(axis, port)) {
            return None;
        }
        if is_free(sample_axis, port) {
            shape[sample_axis] = 1;
        }
        Some((port.name.clone(), shape))
    };
    ports.iter().zip(shapes).filter_map(of_port).collect()
}

/// Chosen sizes for a person; `None` where there are none.
pub fn noise_sizes_note(chosen: &[(String, Vec<usize>)]) -> Option<String> {
    let one = |(name, shape): &(String, Vec<usize>)| {
        let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
        format!("'{}' is {}", short(name), shape.join(" x "))
    };
    let all: Vec<String> = chosen.iter().map(one).collect();
    (!all.is_empty()).then(|| {
        format!(
            "sizes that the network leaves free were chosen so that noise runs: {}",
            all.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(shape: &[Option<usize>]) -> Port {
        Port {
            name: "x".to_owned(),
            shape: Some(shape.to_vec()),
            axis_names: vec![None; shape.len()],
            kind: Default::default(),
        }
    }

    #[test]
    fn sizes_are_tried_in_order_until_one_runs_and_none_twice() {
        let line_of_text = [port(&[None, Some(3), Some(48), None])];
        let mut widths = Vec::new();
        let run = |(side, _): FreeSizes| {
            widths.push(side);
            if side >= 300 {
                Ok(side)
            } else {
                Err(InferenceError::Data(format!("{side} is too small")))
            }
        };
        let ((found, free), expected) = (
            first_that_runs(&line_of_text, &[(224, 1), (224, 32), (32, 1)], run).unwrap(),
            320,
        );
        assert_eq!((found, free.0), (expected, expected));
        // The number of steps makes no difference to a picture.
        assert_eq!(widths, [224, 32, 320]);
        assert_eq!(chosen(&line_of_text, free), [("x".to_owned(), vec![1, 3, 48, 320])]);
        let note = noise_sizes_note(&chosen(&line_of_text, free)).unwrap();
        assert!(note.contains("'x' is 1 x 3 x 48 x 320"), "{note}");
    }

    #[test]
    fn where_none_runs_the_reason_of_the_usual_size_is_told() {
        let fixed = [port(&[Some(1), Some(4)])];
        let wrong = |free: FreeSizes| Err::<(), _>(InferenceError::Data(format!("wrong {free:?}")));
        let told = |ports: &[Port]| first_that_runs(ports, &[(224, 1)], wrong).unwrap_err().to_string();
        assert!(told(&fixed).contains("wrong (224, 1)") && !told(&fixed).contains("tried"));
        let sound = [port(&[Some(1), None])];
        assert!(
            told(&sound).contains("wrong (224, 1)") && told(&sound).contains("13 sizes"),
            "{}",
            told(&sound)
        );
        assert_eq!(chosen(&fixed, (224, 1)), []);
    }

    #[test]
    fn a_cancelled_run_tries_no_other_size() {
        let mut runs = 0;
        let cancelled = |_: FreeSizes| {
            runs += 1;
            Err::<(), _>(InferenceError::Cancelled(Cancelled))
        };
        let ended = first_that_runs(&[port(&[None, None])], &[(224, 1)], cancelled);
        assert!(matches!(ended, Err(InferenceError::Cancelled(_))));
        assert_eq!(runs, 1);
    }
}
