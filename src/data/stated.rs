//! What a stated preprocessing tells of a network's input before any sample is read: pixels go from 0 to 255, so each channel
//! has a known interval.

use super::preprocess::{Origin, Preprocess};
use super::{DataOptions, Port, PreprocessError};
use crate::quantization::KnownInput;

/// Channels that pictures may have.
const CHANNELS: [usize; 2] = [3, 1];

impl DataOptions {
    /// What these options, or the network's own files, state of the pictures that one of `ports` takes; `None` where nothing
    /// is stated, or no input is free for pictures.
    ///
    /// # Errors
    /// Why the preprocessing that a person chose does not fit the network.
    pub fn stated_input(&self, ports: &[Port]) -> Result<Option<KnownInput>, PreprocessError> {
        let chosen = self.preprocess.is_some() || self.mean.is_some() || self.std.is_some();
        let hinted = (self.hint.as_ref()).is_some_and(|hint| hint.mean.is_some() || hint.std.is_some());
        let given = |port: &&Port| self.inputs.iter().any(|(name, _)| *name == port.name);
        let takes_pictures = |port: &&Port| {
            !port.is_integer() && (port.shape.as_ref()).is_none_or(|shape| (2..=4).contains(&shape.len()))
        };
        let port = ports.iter().filter(takes_pictures).find(|port| !given(port));
        let Some(port) = port.filter(|_| chosen || hinted) else {
            return Ok(None);
        };
        // A flat input does not say how many channels it has; the numbers of the preprocessing do.
        let [colour, grey] = CHANNELS.map(|channels| Preprocess::new(self, Some(port), Origin::Array, channels));
        let several = |numbers: &Option<Vec<f32>>| numbers.as_ref().is_some_and(|numbers| numbers.len() > 1);
        let preprocess = match (colour, grey) {
            (colour, Ok(_)) if colour.is_ok() && (several(&self.mean) || several(&self.std)) => colour,
            (colour, Err(_)) => colour,
            (_, grey) => grey,
        };
        match preprocess {
            Ok(preprocess) => Ok(Some(KnownInput {
                name: port.name.clone(),
                channels: preprocess.intervals(),
                place: preprocess.channel_place(),
            })),
            Err(why) if chosen => Err(why),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ElementKind;
    use crate::network::PreprocessHint;
    use crate::quantization::ChannelPlace;
    use std::sync::Arc;

    fn port(shape: &[usize]) -> Port {
        Port {
            name: "x".to_owned(),
            shape: Some(shape.iter().map(|size| Some(*size)).collect()),
            axis_names: vec![None; shape.len()],
            kind: ElementKind::Float,
        }
    }

    fn named(name: &str) -> DataOptions {
        DataOptions {
            preprocess: Some(name.to_owned()),
            ..DataOptions::default()
        }
    }

    fn stated(options: &DataOptions, shape: &[usize]) -> Option<KnownInput> {
        options.stated_input(&[port(shape)]).unwrap()
    }

    #[test]
    fn named_preprocessings_tell_the_interval_of_each_channel() {
        let raw = stated(&named("raw"), &[1, 3, 32, 32]).unwrap();
        assert_eq!((raw.channels, raw.place), (vec![[0.0, 255.0]; 3], ChannelPlace::Second));
        let unit = stated(&named("unit"), &[1, 32, 32, 1]).unwrap();
        assert_eq!((unit.channels, unit.place), (vec![[0.0, 1.0]], ChannelPlace::Last));
        let signed = stated(&named("minus-one-to-one"), &[1, 3, 8, 8]).unwrap();
        assert_eq!(signed.channels, vec![[-1.0, 1.0]; 3]);
        let flat = stated(&named("raw"), &[1, 784]).unwrap();
        assert_eq!((flat.channels, flat.place), (vec![[0.0, 255.0]], ChannelPlace::Flat));
        // (0 - 0.485) / 0.229 and (1 - 0.485) / 0.229, and so on: mean and deviation of ImageNet.
        let ends = [
            [-2.117_904, 2.248_908_2],
            [-2.035_714, 2.428_571_5],
            [-1.804_444_4, 2.64],
        ];
        let imagenet = stated(&named("imagenet"), &[1, 3, 224, 224]).unwrap();
        let close = |seen: &[[f32; 2]], wanted: &[[f32; 2]]| {
            let pairs = seen.iter().flatten().zip(wanted.iter().flatten());
            seen.len() == wanted.len() && pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5)
        };
        assert!(close(&imagenet.channels, &ends), "{imagenet:?}");
        let options = DataOptions {
            blue_first: true,
            ..named("imagenet")
        };
        let [red, green, blue] = ends;
        assert!(close(
            &stated(&options, &[1, 3, 224, 224]).unwrap().channels,
            &[blue, green, red]
        ));
        let options = DataOptions {
            mean: Some(vec![0.5]),
            std: Some(vec![0.25]),
            ..DataOptions::default()
        };
        assert_eq!(stated(&options, &[1, 1, 8, 8]).unwrap().channels, [[-2.0, 2.0]]);
        // Three numbers for a flat input say that it holds three channels.
        let options = DataOptions {
            mean: Some(vec![0.0, 0.5, 1.0]),
            ..named("unit")
        };
        assert_eq!(
            stated(&options, &[1, 192]).unwrap().channels,
            [[0.0, 1.0], [-0.5, 0.5], [-1.0, 0.0]]
        );
    }

    #[test]
    fn what_nobody_states_stays_unknown_and_a_choice_that_does_not_fit_is_refused() {
        assert_eq!(stated(&DataOptions::default(), &[1, 3, 32, 32]), None);
        let mut options = DataOptions {
            hint: Some(Arc::new(PreprocessHint {
                mean: Some(vec![0.5; 3]),
                std: Some(vec![0.5; 3]),
                ..PreprocessHint::default()
            })),
            ..DataOptions::default()
        };
        assert_eq!(stated(&options, &[1, 3, 32, 32]).unwrap().channels, [[-1.0, 1.0]; 3]);
        assert_eq!(
            stated(&options, &[1, 7, 32, 32]),
            None,
            "a hint that does not fit says nothing"
        );
        options.inputs = vec![("x".to_owned(), "x.npy".into())];
        assert_eq!(
            stated(&options, &[1, 3, 32, 32]),
            None,
            "the input is given as an array"
        );
        let why = named("raw").stated_input(&[port(&[1, 7, 32, 32])]).unwrap_err();
        assert!(why.to_string().contains("7 channels"), "{why}");
        assert!(named("nothing").stated_input(&[port(&[1, 3, 8, 8])]).is_err());
        let tokens = Port {
            kind: ElementKind::Integer,
            ..port(&[1, 16])
        };
        assert_eq!(named("raw").stated_input(&[tokens]), Ok(None));
    }
}
