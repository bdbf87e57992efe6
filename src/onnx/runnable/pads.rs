//! Paddings that a node leaves to the engine, spelled out.
//!
//! Where the padding of an axis is odd, `SAME_UPPER` puts the larger half at its end and `SAME_LOWER` at its start. The engine
//! (rten 0.27) takes both for `SAME_UPPER`.

use super::super::build::{
    attribute_int, attribute_ints, attribute_string, float_tensor, int_attribute, ints_attribute, tensor_attribute,
};
use super::super::unfit::Unfit;
use super::super::{AttributeProto, NodeProto};
use super::site::{Outcome, Ruled, Site};

/// Sizes of a window along its axes.
pub(super) struct Window {
    pub(super) kernel: Vec<i64>,
    pub(super) strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
}

impl Window {
    /// From a node whose defaults are spelled out.
    pub(super) fn of(node: &NodeProto) -> Result<Self, Unfit> {
        let kernel = attribute_ints(node, "kernel_shape").ok_or("its kernel_shape is not known")?;
        let ints = |name: &'static str| match attribute_ints(node, name) {
            Some(values) if values.len() == kernel.len() => Ok(values.to_vec()),
            Some(values) => Err(Unfit::Numbers {
                attribute: name,
                found: values.len(),
                axes: kernel.len(),
            }),
            None => Ok(vec![1; kernel.len()]),
        };
        let window = Self {
            kernel: kernel.to_vec(),
            strides: ints("strides")?,
            dilations: ints("dilations")?,
        };
        // Sums and products of them must not overflow.
        let mut all = window.kernel.iter().chain(&window.strides).chain(&window.dilations);
        match all.find(|size| !(1..=1 << 20).contains(*size)) {
            Some(size) => Err(Unfit::Window(*size)),
            None => Ok(window),
        }
    }

    /// Elements that the kernel spans along an axis.
    pub(super) fn span(&self, axis: usize) -> i64 {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    pub(super) fn axes(&self) -> usize {
        self.kernel.len()
    }
}

/// The node with other attributes: those named are taken away, those given added.
pub(super) fn with_attributes(node: &NodeProto, without: &[&str], with: Vec<AttributeProto>) -> NodeProto {
    let mut node = node.clone();
    node.attribute.retain(|attribute| !without.contains(&attribute.name()));
    node.attribute.extend(with);
    node
}

/// Paddings of the start and the end of each axis, in the order of the attribute `pads`.
fn halves(totals: &[i64], lower: bool) -> Vec<i64> {
    let small = |total: &i64| total / 2;
    let large = |total: &i64| total - total / 2;
    let (start, end): (Vec<i64>, Vec<i64>) = if lower {
        (totals.iter().map(large).collect(), totals.iter().map(small).collect())
    } else {
        (totals.iter().map(small).collect(), totals.iter().map(large).collect())
    };
    [start, end].concat()
}

/// What `auto_pad` says.
enum AutoPad {
    /// `pads` holds.
    Given,
    /// No padding.
    Valid,
    Same {
        lower: bool,
    },
}

fn auto_pad(node: &NodeProto) -> Result<AutoPad, Unfit> {
    match attribute_string(node, "auto_pad") {
        None | Some("NOTSET" | "") => Ok(AutoPad::Given),
        Some("VALID") => Ok(AutoPad::Valid),
        Some("SAME_UPPER") => Ok(AutoPad::Same { lower: false }),
        Some("SAME_LOWER") => Ok(AutoPad::Same { lower: true }),
        Some(other) => Err(Unfit::UnknownValue {
            attribute: "auto_pad",
            value: other.to_owned(),
        }),
    }
}

/// The padding of a convolution or pool as numbers: `[start…, end…]` of the spatial axes.
pub(super) enum Pads {
    Known(Vec<i64>),
    /// The sizes of the input decide, which are not known: the name of an INT64 list, computed.
    Computed(String),
}

/// The padding of a node whose input `slot` is `[n, c, spatial…]`.
pub(super) fn pads(site: &mut Site<'_>, slot: usize, window: &Window) -> Result<Pads, Unfit> {
    let node = site.node();
    let axes = window.axes();
    let lower = match auto_pad(node)? {
        AutoPad::Given => {
            let pads = attribute_ints(node, "pads").map_or_else(|| vec![0; 2 * axes], <[i64]>::to_vec);
            if pads.len() != 2 * axes {
                return Err(Unfit::Numbers {
                    attribute: "pads",
                    found: pads.len(),
                    axes,
                });
            }
            return Ok(Pads::Known(pads));
        }
        AutoPad::Valid => return Ok(Pads::Known(vec![0; 2 * axes])),
        AutoPad::Same { lower } => lower,
    };
    let totals: Option<Vec<i64>> = (0..axes)
        .map(|axis| {
            let (span, stride) = (window.span(axis), window.strides[axis]);
            if stride == 1 {
                return Some(span - 1);
            }
            let size = (*site.shape(slot)?.get(axis + 2)?)?;
            let steps = size.checked_add(stride - 1)? / stride;
            Some(((steps - 1).checked_mul(stride)? + span - size).max(0))
        })
        .collect();
    if let Some(totals) = totals {
        return Ok(Pads::Known(halves(&totals, lower)));
    }
    let x = site.needed(slot)?;
    let shape = site.op("Shape", &[x]);
    let (from, to) = (site.ints("spatial", &[2]), site.ints("all", &[i64::MAX]));
    let sizes = site.op("Slice", &[&shape, &from, &to]);
    let less: Vec<i64> = window.strides.iter().map(|stride| stride - 1).collect();
    let (strides, less) = (
        site.ints("strides", &window.strides),
        site.ints("strides_less_1", &less),
    );
    let rounded_up = site.op("Add", &[&sizes, &less]);
    let steps = site.op("Div", &[&rounded_up, &strides]);
    let covered = site.op("Mul", &[&steps, &strides]);
    // (steps - 1) * stride + span - size
    let rest: Vec<i64> = (0..axes).map(|axis| window.span(axis) - window.strides[axis]).collect();
    let rest = site.ints("span_less_stride", &rest);
    let covered = site.op("Add", &[&covered, &rest]);
    let total = site.op("Sub", &[&covered, &sizes]);
    let (zero, two) = (site.ints("zero", &[0]), site.ints("two", &[2]));
    let total = site.op("Max", &[&total, &zero]);
    let small = site.op("Div", &[&total, &two]);
    let large = site.op("Sub", &[&total, &small]);
    let (start, end) = if lower { (&large, &small) } else { (&small, &large) };
    Ok(Pads::Computed(site.op_with(
        "Concat",
        &[start, end],
        vec![int_attribute("axis", 0)],
    )))
}

/// The input of a node with the computed padding around it. `value` is what it is padded with.
pub(super) fn padded(site: &mut Site<'_>, x: &str, pads: &str, window: &Window, value: Option<&str>) -> String {
    // The pads of the batch and of the channels come before those of the spatial axes, at both ends.
    let axes = i64::try_from(window.axes()).unwrap_or_default();
    let halves = site.ints("axes", &[axes, axes]);
    let zeros = site.ints("batch_and_channels", &[0, 0]);
    let parts = site.op_of("Split", &[pads, &halves], vec![int_attribute("axis", 0)], 2);
    let all = site.op_with(
        "Concat",
        &[&zeros, &parts[0], &zeros, &parts[1]],
        vec![int_attribute("axis", 0)],
    );
    match value {
        Some(value) => site.op("Pad", &[x, &all, value]),
        None => site.op("Pad", &[x, &all]),
    }
}

/// `Conv`: the engine is right but for `SAME_LOWER`.
pub(super) fn convolution(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    if !matches!(auto_pad(node)?, AutoPad::Same { lower: true }) {
        return Ok(Outcome::Kept);
    }
    let window = Window::of(node)?;
    let x = site.needed(0)?;
    match pads(site, 0, &window)? {
        Pads::Known(pads) => {
            let pads = vec![ints_attribute("pads", pads)];
            site.replace_with(with_attributes(node, &["auto_pad", "pads"], pads))
        }
        Pads::Computed(pads) => {
            let x = padded(site, x, &pads, &window, None);
            let mut convolution = with_attributes(node, &["auto_pad", "pads"], no_pads(&window));
            convolution.input[0] = x;
            site.replace_with(convolution)
        }
    }
}

pub(super) fn no_pads(window: &Window) -> Vec<AttributeProto> {
    vec![ints_attribute("pads", vec![0; 2 * window.axes()])]
}

/// `ConvTranspose`: with `SAME_*` the output is `stride` times as large as the input, so that the padding does not depend on
/// the size; where the kernel is smaller than the stride, nothing is padded, as in onnxruntime.
pub(super) fn transposed(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let automatic = auto_pad(node)?;
    let wanted = attribute_ints(node, "output_shape").filter(|sizes| !sizes.is_empty());
    if wanted.is_none() && matches!(automatic, AutoPad::Given | AutoPad::Valid) {
        return Ok(Outcome::Kept);
    }
    let window = Window::of(node)?;
    let axes = window.axes();
    let mut extra = attribute_ints(node, "output_padding").map_or_else(|| vec![0; axes], <[i64]>::to_vec);
    if extra.len() != axes {
        return Err(Unfit::Numbers {
            attribute: "output_padding",
            found: extra.len(),
            axes,
        });
    }
    let mut totals = Vec::with_capacity(axes);
    for (axis, extra) in extra.iter_mut().enumerate() {
        let (span, stride) = (window.span(axis), window.strides[axis]);
        let total = match wanted {
            None => span + *extra - stride,
            Some(sizes) => {
                // Some files give the sizes of all axes.
                let size = sizes.len().checked_sub(axes - axis).and_then(|at| sizes.get(at));
                let size = size.ok_or("its output_shape has too few numbers")?;
                let input = site.shape(0).and_then(|shape| shape.get(axis + 2).copied().flatten());
                let input = input.ok_or("its output_shape needs the size of the input, which is not known")?;
                let natural = (input - 1).checked_mul(stride).ok_or("its input is too large")? + span + *extra;
                natural - size
            }
        };
        // An output_shape is reached; with SAME_* the output is as large as it is by itself.
        if total < 0 && wanted.is_some() {
            *extra -= total;
        }
        totals.push(total.max(0));
    }
    // With output_shape, every way but SAME_UPPER puts the larger half at the start.
    let lower = match automatic {
        AutoPad::Same { lower } => lower,
        AutoPad::Given | AutoPad::Valid => true,
    };
    let attributes = vec![
        ints_attribute("pads", halves(&totals, lower)),
        ints_attribute("output_padding", extra),
    ];
    let without = ["auto_pad", "pads", "output_shape", "output_padding"];
    site.replace_with(with_attributes(node, &without, attributes))
}

/// `MaxPool` and `AveragePool`.
pub(super) fn pool(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    if site.has_output(1) {
        return Err("the places of the largest values, its second output, are not computed".into());
    }
    let window = Window::of(node)?;
    if window.dilations.iter().any(|dilation| *dilation != 1) {
        return Err("its dilations are not computed".into());
    }
    // Where windows lie apart, the engine begins SAME_UPPER elsewhere than at the first element.
    let is_dense = (0..window.axes()).all(|axis| window.strides[axis] <= window.span(axis));
    let has_ceil = attribute_int(node, "ceil_mode").unwrap_or(0) != 0;
    match auto_pad(node)? {
        AutoPad::Given | AutoPad::Valid => return Ok(Outcome::Kept),
        AutoPad::Same { lower: false } if is_dense && !has_ceil => return Ok(Outcome::Kept),
        AutoPad::Same { .. } => {}
    }
    let lie_apart = (0..window.axes()).any(|axis| window.strides[axis] > window.span(axis) + 1);
    if node.op_type() == "AveragePool" && matches!(auto_pad(node)?, AutoPad::Same { lower: false }) && lie_apart {
        return Err("its windows lie apart, where SAME_UPPER begins is not agreed upon".into());
    }
    // The size of the output is that of the input over the stride, rounded up, whatever ceil_mode says.
    let without = ["auto_pad", "pads", "ceil_mode"];
    let x = site.needed(0)?;
    let computed = match pads(site, 0, &window)? {
        Pads::Known(pads) => {
            let pads = vec![ints_attribute("pads", pads)];
            return site.replace_with(with_attributes(node, &without, pads));
        }
        Pads::Computed(pads) => pads,
    };
    let is_max = node.op_type() == "MaxPool";
    let value = is_max.then(|| site.float("nothing", f32::NEG_INFINITY));
    let padded_x = padded(site, x, &computed, &window, value.as_deref());
    let mut pool = with_attributes(node, &without, no_pads(&window));
    pool.input[0] = padded_x;
    if is_max || attribute_int(node, "count_include_pad").unwrap_or(0) != 0 {
        return site.replace_with(pool);
    }
    // The mean over the window with its padding, over the share of the window that is no padding.
    let shape = site.op("Shape", &[x]);
    let (from, to) = (site.ints("spatial", &[2]), site.ints("all", &[i64::MAX]));
    let sizes = site.op("Slice", &[&shape, &from, &to]);
    let one = site.ints("one", &[1, 1]);
    let shape = site.op_with("Concat", &[&one, &sizes], vec![int_attribute("axis", 0)]);
    let value = float_tensor("", &[1], &[1.0]);
    let ones = site.op_with("ConstantOfShape", &[&shape], vec![tensor_attribute("value", value)]);
    let ones = padded(site, &ones, &computed, &window, None);
    let attributes = pool.attribute.clone();
    let share = site.op_with("AveragePool", &[&ones], attributes.clone());
    let mean = site.op_with("AveragePool", &[&pool.input[0]], attributes);
    site.end("Div", &[&mean, &share])
}
