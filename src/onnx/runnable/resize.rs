//! `Resize`: the engine (rten 0.27) runs `cubic` as `linear`, knows four of the coordinate modes, floats, and two axes at once.
//!
//! What it does not do is written as it is defined: for each axis, the places that each output element is made from are
//! gathered, and added up with their weights (ONNX operator Resize; the cubic weights are those of Keys, "Cubic convolution
//! interpolation for digital image processing", 1981).

use super::super::build::{attribute, attribute_float, attribute_int, attribute_ints, attribute_string, int_attribute};
use super::super::schema::data_type;
use super::super::unfit::Unfit;
use super::pads::with_attributes;
use super::quantize::{divided, quotient_of_numbers};
use super::site::{Outcome, Ruled, Site};

/// Slots of the operator's inputs.
const SCALES: usize = 2;
const SIZES: usize = 3;

/// How the elements between two are made.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic { a: f32, excludes_outside: bool },
}

pub(super) fn resize(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let text = |name: &str, default: &'static str| attribute_string(node, name).unwrap_or(default).to_owned();
    let (mode, places) = (
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "half_pixel"),
    );
    let mode = match mode.as_str() {
        "nearest" => Mode::Nearest,
        "linear" => Mode::Linear,
        "cubic" => Mode::Cubic {
            a: attribute_float(node, "cubic_coeff_a").unwrap_or(-0.75),
            excludes_outside: attribute_int(node, "exclude_outside").unwrap_or(0) != 0,
        },
        other => {
            return Err(Unfit::Value {
                attribute: "mode",
                value: other.to_owned(),
            });
        }
    };
    if attribute_int(node, "antialias").unwrap_or(0) != 0 {
        return Err(Unfit::Attribute("antialias"));
    }
    let policy = text("keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return Err(Unfit::Value {
            attribute: "keep_aspect_ratio_policy",
            value: policy.to_owned(),
        });
    }
    if attribute_ints(node, "axes").is_some() {
        return Err(Unfit::Attribute("axes"));
    }
    let known = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"];
    let by_engine = mode != Mode::Nearest || !matches!(site.element_type(0), Some(data_type::UINT8 | data_type::INT8));
    if !matches!(mode, Mode::Cubic { .. }) && known.contains(&places.as_str()) && by_engine {
        // The engine refuses attributes that mean nothing in these modes.
        let idle = ["cubic_coeff_a", "exclude_outside", "extrapolation_value"];
        if idle.iter().any(|name| attribute(node, name).is_some()) {
            let stripped = with_attributes(node, &idle, vec![]);
            return site.replace_with(stripped);
        }
        return Ok(Outcome::Kept);
    }
    if mode == Mode::Nearest && places == "half_pixel_symmetric" {
        // Where a place is a whole number, which element is the nearest hangs on the last bit.
        return Err(Unfit::Case(format!("its mode nearest with {places} is not computed")));
    }
    let nearest = text("nearest_mode", "round_prefer_floor");
    let axes = axes(site, mode)?;
    let mut x = site.needed(0)?.to_owned();
    let (last, axes) = axes.split_last().ok_or("it resizes no axis")?;
    for axis in axes {
        let taps = Taps::of(site, *axis, mode, &places, &nearest)?;
        x = taps.apply(site, &x, *axis);
    }
    let taps = Taps::of(site, *last, mode, &places, &nearest)?;
    let y = taps.apply(site, &x, *last);
    site.end("Identity", &[&y])
}

/// The axes that are resized, counted from the last: -1, -2, …
fn axes(site: &Site<'_>, mode: Mode) -> Result<Vec<i64>, Unfit> {
    let from_last = |axes: usize, differs: &dyn Fn(usize) -> bool| {
        let count = i64::try_from(axes).unwrap_or_default();
        (0_i64..)
            .zip(0..axes)
            .filter(|(_, at)| differs(*at))
            .map(|(axis, _)| axis - count)
            .collect::<Vec<_>>()
    };
    if let Some(scales) = site.floats(SCALES).filter(|scales| !scales.is_empty()) {
        let axes = from_last(scales.len(), &|axis| scales[axis] != 1.0);
        return Ok(if axes.is_empty() { vec![-1] } else { axes });
    }
    if let (Some(sizes), Some(shape)) = (site.integers(SIZES), site.shape(0))
        && sizes.len() == shape.len()
    {
        let axes = from_last(sizes.len(), &|axis| shape[axis] != Some(sizes[axis]));
        return Ok(if axes.is_empty() { vec![-1] } else { axes });
    }
    // Cubic is defined for pictures.
    match mode {
        Mode::Cubic { .. } => Ok(vec![-2, -1]),
        Mode::Nearest | Mode::Linear => Err("which axes it resizes is not known".into()),
    }
}

/// What each element along an axis is made from: places in the input, and their weights.
struct Taps {
    places: Vec<String>,
    weights: Vec<Option<String>>,
}

impl Taps {
    fn of(site: &mut Site<'_>, axis: i64, mode: Mode, places: &str, nearest: &str) -> Result<Self, Unfit> {
        let place = Coordinates::of(site, axis)?.places(site, places)?;
        Ok(match mode {
            Mode::Nearest => Self::nearest(site, &place, nearest)?,
            Mode::Linear => {
                let (base, t) = parts(site, &place.of_element);
                let one = site.float("one", 1.0);
                let rest = site.op("Sub", &[&one, &t]);
                Self {
                    places: (0..2).map(|step| place.index(site, &base, step)).collect(),
                    weights: vec![Some(rest), Some(t)],
                }
            }
            Mode::Cubic { a, excludes_outside } => Self::cubic(site, &place, a, excludes_outside),
        })
    }

    fn nearest(site: &mut Site<'_>, place: &Places, mode: &str) -> Result<Self, Unfit> {
        let half = site.float("half", 0.5);
        let x = &place.of_element;
        let whole = match mode {
            "floor" => site.op("Floor", &[x]),
            "ceil" => site.op("Ceil", &[x]),
            "round_prefer_ceil" => {
                let up = site.op("Add", &[x, &half]);
                site.op("Floor", &[&up])
            }
            "round_prefer_floor" => {
                let down = site.op("Sub", &[x, &half]);
                site.op("Ceil", &[&down])
            }
            other => {
                return Err(Unfit::UnknownValue {
                    attribute: "nearest_mode",
                    value: other.to_owned(),
                });
            }
        };
        Ok(Self {
            places: vec![place.index(site, &whole, 0)],
            weights: vec![None],
        })
    }

    fn cubic(site: &mut Site<'_>, place: &Places, a: f32, excludes_outside: bool) -> Self {
        let (base, t) = parts(site, &place.of_element);
        let one = site.float("one", 1.0);
        let rest = site.op("Sub", &[&one, &t]);
        let (before, behind) = (site.op("Add", &[&t, &one]), site.op("Add", &[&rest, &one]));
        // Up to a distance of 1, and from there to 2.
        let near = [a + 2.0, -(a + 3.0), 0.0, 1.0];
        let far = [a, -5.0 * a, 8.0 * a, -4.0 * a];
        let mut weights = vec![
            polynomial(site, &before, far),
            polynomial(site, &t, near),
            polynomial(site, &rest, near),
            polynomial(site, &behind, far),
        ];
        if excludes_outside {
            for (step, weight) in (-1..).zip(&mut weights) {
                let inside = place.is_inside(site, &base, step);
                *weight = site.op("Mul", &[weight, &inside]);
            }
            let mut sum = weights[0].clone();
            for weight in &weights[1..] {
                sum = site.op("Add", &[&sum, weight]);
            }
            for weight in &mut weights {
                *weight = site.op("Div", &[weight, &sum]);
            }
        }
        Self {
            places: (-1..3).map(|step| place.index(site, &base, step)).collect(),
            weights: weights.into_iter().map(Some).collect(),
        }
    }

    /// `x` resized along the axis.
    fn apply(&self, site: &mut Site<'_>, x: &str, axis: i64) -> String {
        let mut sum: Option<String> = None;
        for (places, weight) in self.places.iter().zip(&self.weights) {
            let mut part = site.op_with("Gather", &[x, places], vec![int_attribute("axis", axis)]);
            if let Some(weight) = weight {
                let mut weight = weight.clone();
                // Along the axis, the same for all others.
                if axis < -1 {
                    let behind: Vec<i64> = (1..-axis).collect();
                    let behind = site.ints("axes", &behind);
                    weight = site.op("Unsqueeze", &[&weight, &behind]);
                }
                part = site.op("Mul", &[&part, &weight]);
            }
            sum = Some(match sum {
                None => part,
                Some(sum) => site.op("Add", &[&sum, &part]),
            });
        }
        sum.unwrap_or_else(|| x.to_owned())
    }
}

/// The whole part of a place and the rest.
fn parts(site: &mut Site<'_>, place: &str) -> (String, String) {
    let base = site.op("Floor", &[place]);
    let rest = site.op("Sub", &[place, &base]);
    (base, rest)
}

/// `((c0 d + c1) d + c2) d + c3`.
fn polynomial(site: &mut Site<'_>, d: &str, coefficients: [f32; 4]) -> String {
    let [mut value, rest @ ..] = coefficients.map(|c| site.float("coefficient", c));
    for coefficient in rest {
        let product = site.op("Mul", &[&value, d]);
        value = site.op("Add", &[&product, &coefficient]);
    }
    value
}

/// Sizes along an axis: names of scalars.
struct Coordinates {
    /// Elements of the input, an integer and as a float.
    input: String,
    input_float: String,
    /// Elements of the output, as a float.
    output_float: String,
    output: String,
    scale: String,
}

impl Coordinates {
    fn of(site: &mut Site<'_>, axis: i64) -> Result<Self, Unfit> {
        let to = |element_type: i32| vec![int_attribute("to", i64::from(element_type))];
        let x = site.needed(0)?;
        let shape = site.op("Shape", &[x]);
        let axis = site.int("axis", axis);
        let input = site.op("Gather", &[&shape, &axis]);
        let input_float = site.op_with("Cast", &[&input], to(data_type::FLOAT));
        let is_empty = |site: &Site<'_>, slot| site.input(slot).is_none() || site.shape(slot) == Some(&[Some(0)]);
        if !is_empty(site, SCALES) {
            let scales = site.needed(SCALES)?;
            let scale = site.op("Gather", &[scales, &axis]);
            let output = site.op("Mul", &[&input_float, &scale]);
            let output_float = site.op("Floor", &[&output]);
            let output = site.op_with("Cast", &[&output_float], to(data_type::INT64));
            return Ok(Self {
                input,
                input_float,
                output_float,
                output,
                scale,
            });
        }
        let sizes = site.needed(SIZES)?;
        let output = site.op("Gather", &[sizes, &axis]);
        let output_float = site.op_with("Cast", &[&output], to(data_type::FLOAT));
        let scale = quotient_of_numbers(site, &output_float, &input_float);
        Ok(Self {
            input,
            input_float,
            output_float,
            output,
            scale,
        })
    }

    /// The place in the input that each output element comes from.
    fn places(self, site: &mut Site<'_>, mode: &str) -> Result<Places, Unfit> {
        let (zero, one) = (site.int("first", 0), site.int("step", 1));
        let range = site.op("Range", &[&zero, &self.output, &one]);
        let range = site.op_with(
            "Cast",
            &[&range],
            vec![int_attribute("to", i64::from(data_type::FLOAT))],
        );
        let (half, unit) = (site.float("half", 0.5), site.float("unit", 1.0));
        let half_pixel = |site: &mut Site<'_>| {
            let middle = site.op("Add", &[&range, &half]);
            let place = divided(site, &middle, &self.scale);
            site.op("Sub", &[&place, &half])
        };
        let of_element = match mode {
            "half_pixel" => half_pixel(site),
            "pytorch_half_pixel" => {
                // A single element comes from the first.
                let place = half_pixel(site);
                let others = site.op("Sub", &[&self.output_float, &unit]);
                let any = site.op("Min", &[&others, &unit]);
                site.op("Mul", &[&place, &any])
            }
            "half_pixel_symmetric" => {
                let place = half_pixel(site);
                let exact = site.op("Mul", &[&self.input_float, &self.scale]);
                let adjustment = quotient_of_numbers(site, &self.output_float, &exact);
                let less = site.op("Sub", &[&unit, &adjustment]);
                let center = site.op("Mul", &[&self.input_float, &half]);
                let offset = site.op("Mul", &[&center, &less]);
                site.op("Add", &[&place, &offset])
            }
            "asymmetric" => divided(site, &range, &self.scale),
            "tf_half_pixel_for_nn" => {
                let middle = site.op("Add", &[&range, &half]);
                divided(site, &middle, &self.scale)
            }
            "align_corners" => {
                let (inputs, outputs) = (
                    site.op("Sub", &[&self.input_float, &unit]),
                    site.op("Sub", &[&self.output_float, &unit]),
                );
                let outputs = site.op("Max", &[&outputs, &unit]);
                let place = site.op("Mul", &[&range, &inputs]);
                divided(site, &place, &outputs)
            }
            other => {
                return Err(Unfit::Value {
                    attribute: "coordinate_transformation_mode",
                    value: other.to_owned(),
                });
            }
        };
        let last = site.op("Sub", &[&self.input, &one]);
        Ok(Places {
            of_element,
            first: zero,
            last,
        })
    }
}

/// The place of each output element in the input, and the places that there are.
struct Places {
    of_element: String,
    first: String,
    last: String,
}

impl Places {
    /// Whole places, `step` further, as numbers of elements that there are.
    fn index(&self, site: &mut Site<'_>, base: &str, step: i32) -> String {
        let index = self.unbounded(site, base, step);
        let index = site.op("Max", &[&index, &self.first]);
        site.op("Min", &[&index, &self.last])
    }

    fn unbounded(&self, site: &mut Site<'_>, base: &str, step: i32) -> String {
        let index = site.op_with("Cast", &[base], vec![int_attribute("to", i64::from(data_type::INT64))]);
        if step == 0 {
            return index;
        }
        let step = site.int("further", i64::from(step));
        site.op("Add", &[&index, &step])
    }

    /// 1 where there is such an element, else 0.
    fn is_inside(&self, site: &mut Site<'_>, base: &str, step: i32) -> String {
        let index = self.unbounded(site, base, step);
        let bounded = self.index(site, base, step);
        let inside = site.op("Equal", &[&index, &bounded]);
        site.op_with(
            "Cast",
            &[&inside],
            vec![int_attribute("to", i64::from(data_type::FLOAT))],
        )
    }
}
