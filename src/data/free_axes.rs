//! How long the axes are that a network leaves free, wherever its inputs are made up: axes of one name are equally long, in whichever
//! inputs they are.

use super::Port;
use crate::onnx::is_axis_name;
use std::collections::HashMap;

/// Height and width of a picture in pixels, and the length of every other free axis (steps of a sequence, numbers of a sound).
pub(crate) type FreeSizes = (usize, usize);

/// What a free axis holds. Where inputs differ about the axes of a name, the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Steps of a sequence, numbers of a sound.
    Steps,
    /// Height or width of a picture.
    Side,
    /// The first axes of a picture.
    One,
    /// Samples.
    Samples,
}

/// A made-up shape of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FreeShape {
    /// Sizes of all axes.
    pub(crate) sizes: Vec<usize>,
    /// The axis of the samples; `None` where the input is the same for all.
    pub(super) sample_axis: Option<usize>,
}

/// Shapes of `ports` for a single run: fixed axes as they are, free ones for one picture (a height and width of the first size)
/// or sequence (of the second size).
pub(crate) fn shapes_of_a_run(ports: &[Port], free: FreeSizes) -> Vec<FreeShape> {
    shapes(ports, free, None)
}

/// Shapes of `ports` for so many samples, which lie on the axis of samples also where that is fixed.
pub(super) fn shapes_of_samples(ports: &[Port], free: FreeSizes, samples: usize) -> Vec<FreeShape> {
    shapes(ports, free, Some(samples))
}

fn shapes(ports: &[Port], (side, steps): FreeSizes, samples: Option<usize>) -> Vec<FreeShape> {
    let sample_axes = sample_axes(ports);
    let sample_axis = |at: usize| sample_axes[at].filter(|_| samples.is_some());
    let mut named: HashMap<&str, Use> = HashMap::new();
    for (at, port) in ports.iter().enumerate() {
        for (axis, _) in declared(port).iter().enumerate().filter(|(_, size)| size.is_none()) {
            if let Some(name) = shared_name(ports, port, axis) {
                let own = own_use(port, axis, sample_axis(at));
                let known = named.entry(name).or_insert(own);
                *known = own.max(*known);
            }
        }
    }
    let of_port = |(at, port): (usize, &Port)| {
        let size = |(axis, size): (usize, &Option<usize>)| match (samples, size) {
            (Some(samples), _) if sample_axes[at] == Some(axis) => samples,
            (_, Some(size)) => *size,
            (_, None) => {
                let named = shared_name(ports, port, axis).and_then(|name| named.get(name).copied());
                match named.unwrap_or_else(|| own_use(port, axis, sample_axis(at))) {
                    Use::Steps => steps,
                    Use::Side => side,
                    Use::One => 1,
                    Use::Samples => samples.unwrap_or(1),
                }
            }
        };
        FreeShape {
            sizes: declared(port).iter().enumerate().map(size).collect(),
            sample_axis: sample_axes[at],
        }
    };
    ports.iter().enumerate().map(of_port).collect()
}

/// The name of a free axis of one of `ports` by which it is known in the others too. Exporters call axes alike that are not (Paddle
/// every free one `?`): a name that is no identifier says nothing, nor does the name of the first input's samples if an input has it twice.
pub(crate) fn shared_name<'port>(ports: &[Port], port: &'port Port, axis: usize) -> Option<&'port str> {
    let name = port.axis_names.get(axis)?.as_deref()?;
    let first = ports.first()?;
    let of_samples = first.axis_names.get(first.sample_axis()).and_then(Option::as_deref);
    let times = |port: &Port| port.axis_names.iter().flatten().filter(|other| *other == name).count();
    let says_nothing = of_samples == Some(name) && ports.iter().any(|port| times(port) > 1);
    (is_axis_name(name) && !says_nothing).then_some(name)
}

/// The axis of the samples in each of `ports`: where the first input has them, and where others have an axis of the same name. Where
/// nothing has a name, it is the first of several, as in arrays that a person gives.
fn sample_axes(ports: &[Port]) -> Vec<Option<usize>> {
    let Some(first) = ports.first() else { return Vec::new() };
    let name = shared_name(ports, first, first.sample_axis());
    let is_free = |port: &Port, axis: usize| declared(port).get(axis) == Some(&None);
    let of_port = |(at, port): (usize, &Port)| match name {
        _ if at == 0 => (!declared(port).is_empty()).then_some(port.sample_axis()),
        _ if port.is_time_major() => Some(1),
        Some(_) => (0..declared(port).len()).find(|axis| shared_name(ports, port, *axis) == name),
        None => {
            let unnamed = is_free(port, 0) && shared_name(ports, port, 0).is_none() && declared(port).len() > 1;
            (unnamed && is_free(first, first.sample_axis())).then_some(0)
        }
    };
    ports.iter().enumerate().map(of_port).collect()
}

/// What an axis holds, going by its own input alone.
fn own_use(port: &Port, axis: usize, sample_axis: Option<usize>) -> Use {
    let sizes = declared(port);
    let is_picture = sizes.len() == 4 && !port.is_integer();
    let is_last = is_picture && !matches!(sizes[1], Some(1 | 3)) && matches!(sizes[3], Some(1 | 3));
    let sides = if is_last { 1..3 } else { 2..4 };
    match is_picture {
        _ if sample_axis == Some(axis) => Use::Samples,
        true if sides.contains(&axis) => Use::Side,
        true => Use::One,
        false => Use::Steps,
    }
}

/// The declared sizes; one free axis where nothing is declared.
fn declared(port: &Port) -> &[Option<usize>] {
    port.shape.as_deref().unwrap_or(&[None])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ElementKind;

    /// An input with axes that are names or sizes.
    fn port(name: &str, axes: &[&str], kind: ElementKind) -> Port {
        let sizes: Vec<Option<usize>> = axes.iter().map(|axis| axis.parse().ok()).collect();
        let names = axes.iter().zip(&sizes);
        Port {
            name: name.to_owned(),
            axis_names: names
                .map(|(axis, size)| size.is_none().then(|| (*axis).to_owned()))
                .collect(),
            shape: Some(sizes),
            kind,
        }
    }

    fn run(ports: &[Port], free: FreeSizes) -> Vec<Vec<usize>> {
        let shapes = shapes_of_a_run(ports, free).into_iter();
        shapes.map(|shape| shape.sizes).collect()
    }

    #[test]
    fn axes_of_one_name_are_equally_long_in_all_inputs() {
        use ElementKind::{Float, Integer};
        let picture = port("image", &["batch", "3", "height", "width"], Float);
        let mask = port("mask", &["batch", "height", "width"], Float);
        let tokens = port("tokens", &["batch", "seq"], Integer);
        let frames = port("frames", &["batch", "1", "seq", "80"], Float);
        for (ports, expected) in [
            (
                vec![picture.clone(), mask.clone()],
                vec![vec![1, 3, 224, 224], vec![1, 224, 224]],
            ),
            // Whichever comes first.
            (
                vec![mask, picture.clone()],
                vec![vec![1, 224, 224], vec![1, 3, 224, 224]],
            ),
            (
                vec![tokens.clone(), picture.clone()],
                vec![vec![1, 32], vec![1, 3, 224, 224]],
            ),
            (vec![tokens.clone(), frames], vec![vec![1, 224], vec![1, 1, 224, 80]]),
            (vec![tokens], vec![vec![32, 32]]),
        ] {
            assert_eq!(run(&ports, (224, 32)), expected, "{ports:?}");
        }
    }

    #[test]
    fn samples_lie_on_the_axes_that_are_called_as_that_of_the_first_input() {
        use ElementKind::{Float, Integer};
        let ports = [
            port("tokens", &["batch", "seq"], Integer),
            port("image", &["batch", "3", "side", "side"], Float),
            port("state", &["2", "batch", "8"], Float),
            port("scale", &["1"], Float),
        ];
        let shapes = shapes_of_samples(&ports, (64, 16), 5);
        let sizes: Vec<&[usize]> = shapes.iter().map(|shape| shape.sizes.as_slice()).collect();
        assert_eq!(sizes, [&[5, 16][..], &[5, 3, 64, 64], &[2, 5, 8], &[1]]);
        let axes: Vec<Option<usize>> = shapes.iter().map(|shape| shape.sample_axis).collect();
        assert_eq!(axes, [Some(0), Some(0), Some(1), None]);
    }

    #[test]
    fn names_that_say_nothing_tie_nothing_together() {
        // Exporters that call every free axis alike.
        for name in ["?", "dynamic"] {
            let ports = [
                port("image", &[name, "3", name, name], ElementKind::Float),
                port("boxes", &[name, "4"], ElementKind::Float),
            ];
            assert_eq!(run(&ports, (224, 7)), [vec![1, 3, 224, 224], vec![7, 4]], "{name}");
            let samples = shapes_of_samples(&ports, (224, 7), 5);
            assert_eq!(
                (&samples[0].sizes[..], &samples[1].sizes[..]),
                (&[5, 3, 224, 224][..], &[5, 4][..])
            );
        }
        // Two equal lengths in one input are meant.
        let ports = [
            port("tokens", &["batch", "seq"], ElementKind::Integer),
            port("bias", &["batch", "seq", "seq"], ElementKind::Float),
        ];
        assert_eq!(run(&ports, (224, 7)), [vec![7, 7], vec![7, 7, 7]]);
    }
}
