//! How a file without a graph stores the weights that Splitscope put on a grid: which tensors belong to a weight, and which
//! scale to which code. It stands in the file's metadata, under [`WEIGHTS_KEY`]; files of older versions tell it by names alone.

use super::NetworkError;
use super::unpacked::{CodesError, Unpacked};
use crate::onnx::build::{int_attribute, metadata, node};
use crate::onnx::schema::data_type;
use crate::onnx::{Conversion, Elements, GraphProto, ModelProto, TensorProto, data_type_name, element_count, numbers};
use crate::printable::short;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

/// Key of the metadata that describes the weights on a grid, as JSON: an object of [`StoredWeight`] by the weights' names.
pub const WEIGHTS_KEY: &str = "splitscope.weights";

/// A weight on a grid: `(code - zero point) * scale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredWeight {
    /// Name of the tensor of codes.
    pub codes: String,
    /// Name of the tensor of scales.
    pub scale: String,
    /// Name of the tensor of zero points, which are as many as scales; without one they are 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_point: Option<String>,
    /// Name of the tensor that lists the source of each input channel (int64), if channels were split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Bits of the grid; the type that the codes are stored in may have more.
    pub bits: u8,
    /// Shape of the weight in elements.
    pub shape: Vec<usize>,
    /// The axis of `shape` that has the input channels.
    pub channel_axis: usize,
    /// The same number of elements in the shape in which `axis` is counted.
    pub view: Vec<usize>,
    /// The axis of `view` that the scales run along; absent where there is one for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<usize>,
    /// How many neighbours on `axis` share a scale; absent where each has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<usize>,
    /// Name of a float tensor that repeats the weight (files of older versions).
    #[serde(skip)]
    pub(crate) float: Option<String>,
}

/// The weights on a grid that a file describes, by their names.
#[derive(Debug, Clone, Default)]
pub struct StoredWeights(
    pub BTreeMap<String, StoredWeight>,
    /// The weights by the names of their codes, once somebody asked.
    OnceLock<HashMap<String, String>>,
);

impl StoredWeights {
    /// What the metadata of `model` tells, and what the names of an older version's export do.
    ///
    /// # Errors
    /// [`NetworkError::Graph`] when the description cannot be read.
    pub(super) fn of(model: &ModelProto) -> Result<Self, NetworkError> {
        if let Some(text) = metadata(model, WEIGHTS_KEY) {
            let fault = |error: serde_json::Error| {
                let why = short(&error.to_string());
                NetworkError::Graph(format!("its metadata '{WEIGHTS_KEY}' cannot be read: {why}"))
            };
            let mut stored: BTreeMap<String, StoredWeight> = serde_json::from_str(text).map_err(fault)?;
            let tensors = model.graph.iter().flat_map(|graph| &graph.initializer);
            let names: HashSet<&str> = tensors.map(TensorProto::name).collect();
            // Another tool may have taken tensors out and kept the metadata.
            stored.retain(|_, weight| names.contains(weight.codes.as_str()));
            return Ok(Self(stored, OnceLock::new()));
        }
        Ok(model.graph.as_ref().map(Self::by_names).unwrap_or_default())
    }

    /// The weights `NAME` beside which `NAME.q` (int8), `NAME.scale` and `NAME.ocs_index` lie.
    fn by_names(graph: &GraphProto) -> Self {
        let named: HashMap<&str, &TensorProto> = (graph.initializer.iter())
            .map(|tensor| (tensor.name(), tensor))
            .collect();
        let of = |codes: &TensorProto| {
            let name = codes.name().strip_suffix(".q")?;
            let (scale, index) = (format!("{name}.scale"), format!("{name}.ocs_index"));
            let float = named.get(name).filter(|float| float.dims == codes.dims)?;
            let count = element_count(named.get(scale.as_str())?).ok()?;
            named.get(index.as_str())?;
            if codes.data_type() != data_type::INT8 {
                return None;
            }
            let shape: Option<Vec<usize>> = codes.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
            let shape = shape?;
            let axis = shape.iter().take(2).position(|size| *size == count);
            let stored = StoredWeight {
                codes: codes.name().to_owned(),
                scale,
                zero_point: None,
                index: Some(index),
                bits: 8,
                channel_axis: 1,
                view: shape.clone(),
                shape,
                axis: axis.filter(|_| count > 1),
                block_size: None,
                float: Some(float.name().to_owned()),
            };
            Some((name.to_owned(), stored))
        };
        Self(graph.initializer.iter().filter_map(of).collect(), OnceLock::new())
    }

    /// The weight, with its name, that the tensor called `name` holds the codes of.
    pub fn of_codes(&self, name: &str) -> Option<(&str, &StoredWeight)> {
        let weights = self.1.get_or_init(|| {
            let of = |(name, weight): (&String, &StoredWeight)| (weight.codes.clone(), name.clone());
            self.0.iter().map(of).collect()
        });
        let (weight, stored) = self.0.get_key_value(weights.get(name)?)?;
        Some((weight, stored))
    }

    /// Names of the tensors that belong to codes and have no meaning of their own.
    pub(super) fn companions(&self) -> impl Iterator<Item = &str> {
        self.0.values().flat_map(|stored| {
            let more = [&stored.zero_point, &stored.index, &stored.float];
            std::iter::once(stored.scale.as_str()).chain(more.into_iter().flatten().map(String::as_str))
        })
    }
}

impl StoredWeight {
    /// The weight whose codes are `tensor`; `find` gives the tensors beside it.
    pub(super) fn unpacked<'a>(
        &self,
        tensor: &TensorProto,
        find: impl Fn(&str) -> Option<&'a TensorProto>,
    ) -> Result<Unpacked, CodesError> {
        let codes = Elements::of(tensor)?;
        let count = element_count(tensor)?;
        let product = |sizes: &[usize]| {
            sizes
                .iter()
                .try_fold(1_usize, |product, size| product.checked_mul(*size))
        };
        if count == 0 || product(&self.shape) != Some(count) || product(&self.view) != Some(count) {
            let shape = self.shape.clone();
            return Err(CodesError::Shape { shape, count });
        }
        let name = data_type_name(tensor.data_type());
        let scales = match (self.axis, self.block_size) {
            (None, _) => "one scale",
            (Some(_), None) => "a scale for each channel",
            (Some(_), Some(_)) => "scales in blocks",
        };
        Ok(Unpacked {
            conversion: self.conversion(count, find),
            shape: self.shape.clone(),
            element_type: tensor.data_type(),
            codes,
            scheme: format!("{} bits by Splitscope, stored as {name}, {scales}", self.bits),
        })
    }

    fn conversion<'a>(
        &self,
        count: usize,
        find: impl Fn(&str) -> Option<&'a TensorProto>,
    ) -> Result<Conversion, CodesError> {
        let size = |value: usize| i64::try_from(value).map_err(|_| CodesError::Axis);
        let mut attributes = vec![int_attribute("axis", size(self.axis.unwrap_or(0))?)];
        if let Some(block) = self.block_size {
            attributes.push(int_attribute("block_size", size(block)?));
        }
        // Where the scale of a code is says DequantizeLinear, and nobody else.
        let inputs = [self.codes.clone(), self.scale.clone()];
        let inputs = inputs.into_iter().chain(self.zero_point.clone());
        let dequantize = node("DequantizeLinear", "", inputs, [String::new()], attributes);
        let axes: Vec<usize> = (0..self.view.len()).collect();
        let conversion = Conversion::of(&dequantize, (1, 2), find, &self.view, &axes)?;
        conversion.check(count)?;
        Ok(conversion)
    }
}

/// The places that an integer tensor lists; `None` where one is negative.
pub(super) fn places(index: &TensorProto) -> Option<Vec<usize>> {
    use data_type::{INT32, INT64};
    if !matches!(index.data_type(), INT32 | INT64) {
        return None;
    }
    // A float holds every whole number up to 2^24, far more than a layer has channels.
    let places = numbers(index).ok()?;
    let whole = |place: &f32| (*place >= 0.0 && *place < 16_777_216.0).then_some(*place as usize);
    places.iter().map(whole).collect()
}
