//! For each operator what the gradient of its output says of its inputs.

use super::BatchNorm;
use super::backward::Backward;
use crate::onnx::NodeProto;
use crate::onnx::build::{
    attribute_float, attribute_int, attribute_ints, attribute_string, int_attribute, ints_attribute, is_standard_domain,
};
use crate::onnx::schema::data_type;

/// Hands the gradient of the first output of `node` on to its inputs. An operator that is not named here hands nothing on.
pub(super) fn pass(backward: &mut Backward<'_>, node: &NodeProto) {
    let [Some(output), Some(x)] = [node.output.first(), node.input.first()] else {
        return;
    };
    if !is_standard_domain(node.domain()) {
        return;
    }
    let Some(gradient) = backward.gradient(output) else {
        return;
    };
    let one = match node.op_type() {
        "Identity" | "Dropout" => Some(gradient),
        "Relu" | "Clip" => Some(where_same(backward, &gradient, x, output)),
        "LeakyRelu" => Some(leaky(backward, node, &gradient)),
        "Sigmoid" => Some(sigmoid(backward, &gradient, output)),
        "HardSigmoid" => hard_sigmoid(backward, node, &gradient, output),
        "HardSwish" => Some(hard_swish(backward, &gradient, x)),
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => in_shape_of(backward, &gradient, x),
        "Transpose" => Some(transposed(backward, node, &gradient)),
        "BatchNormalization" => batch_norm(backward, node, &gradient),
        "Conv" => convolution(backward, node, &gradient),
        "MaxPool" | "AveragePool" => pool(backward, node, &gradient),
        "GlobalAveragePool" | "ReduceMean" => spread_mean(backward, node, &gradient),
        "Pad" => unpadded(backward, node, &gradient),
        "Slice" => unsliced(backward, node, &gradient),
        "Gemm" | "MatMul" => product(backward, node, &gradient),
        "Add" | "Sub" | "Mul" => return elementwise(backward, node, &gradient),
        "Concat" => return pieces(backward, node, &gradient),
        _ => None,
    };
    if let Some(one) = one.filter(|_| backward.wants(x)) {
        backward.add(x, one);
    }
}

/// The gradient where the output is what the input was, and 0 where it was cut off.
fn where_same(backward: &mut Backward<'_>, gradient: &str, x: &str, output: &str) -> String {
    let same = backward.node("Equal", &[x, output], Vec::new());
    masked(backward, gradient, &same)
}

fn masked(backward: &mut Backward<'_>, gradient: &str, mask: &str) -> String {
    let to = vec![int_attribute("to", i64::from(data_type::FLOAT))];
    let mask = backward.node("Cast", &[mask], to);
    backward.node("Mul", &[gradient, &mask], Vec::new())
}

fn leaky(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> String {
    let slope = attribute_float(node, "alpha").unwrap_or(0.01);
    let same = where_same(backward, gradient, &node.input[0], &node.output[0]);
    // slope * gradient + (1 - slope) * (the gradient where nothing changed).
    let (below, above) = (backward.times(gradient, slope), backward.times(&same, 1.0 - slope));
    backward.node("Add", &[&below, &above], Vec::new())
}

/// `y (1 - y)`.
fn sigmoid(backward: &mut Backward<'_>, gradient: &str, output: &str) -> String {
    let one = backward.number(1.0);
    let rest = backward.node("Sub", &[&one, output], Vec::new());
    let slope = backward.node("Mul", &[output, &rest], Vec::new());
    backward.node("Mul", &[gradient, &slope], Vec::new())
}

/// `alpha` where `0 < y < 1`.
fn hard_sigmoid(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str, output: &str) -> Option<String> {
    let slope = attribute_float(node, "alpha").unwrap_or(0.2);
    let steep = backward.times(gradient, slope);
    Some(between(backward, &steep, output))
}

/// `value` where `0 < y < 1`, else 0.
fn between(backward: &mut Backward<'_>, value: &str, y: &str) -> String {
    let (zero, one) = (backward.number(0.0), backward.number(1.0));
    let above = backward.node("Greater", &[y, &zero], Vec::new());
    let below = backward.node("Less", &[y, &one], Vec::new());
    let above = masked(backward, value, &above);
    masked(backward, &above, &below)
}

/// `h + x / 6 where 0 < h < 1`, with `h = min(max(x / 6 + 1/2, 0), 1)`.
fn hard_swish(backward: &mut Backward<'_>, gradient: &str, x: &str) -> String {
    let sixth = backward.times(x, 1.0 / 6.0);
    let (half, zero, one) = (backward.number(0.5), backward.number(0.0), backward.number(1.0));
    let moved = backward.node("Add", &[&sixth, &half], Vec::new());
    let share = backward.node("Clip", &[&moved, &zero, &one], Vec::new());
    let inside = between(backward, &sixth, &share);
    let slope = backward.node("Add", &[&share, &inside], Vec::new());
    backward.node("Mul", &[gradient, &slope], Vec::new())
}

fn in_shape_of(backward: &mut Backward<'_>, gradient: &str, x: &str) -> Option<String> {
    let shape = backward.shape(x)?;
    Some(backward.reshaped(gradient, shape))
}

fn transposed(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> String {
    let attributes = match attribute_ints(node, "perm") {
        Some(order) => {
            let mut back = vec![0_i64; order.len()];
            for (to, from) in order.iter().enumerate() {
                if let Some(place) = usize::try_from(*from).ok().and_then(|from| back.get_mut(from)) {
                    *place = to as i64;
                }
            }
            vec![ints_attribute("perm", back)]
        }
        None => Vec::new(),
    };
    backward.node("Transpose", &[gradient], attributes)
}

fn batch_norm(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let known = BatchNorm::of(node, backward.graph())?;
    let mut shape = vec![1; backward.shape(&node.input[0])?.len()];
    *shape.get_mut(1)? = known.scale.len();
    let scale = backward.floats(&shape, &known.scale);
    Some(backward.node("Mul", &[gradient, &scale], Vec::new()))
}

/// A transposed convolution with the same weights.
fn convolution(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let weights = node.input.get(1)?;
    if !has_own_pads(node) || backward.wants(weights) {
        return None;
    }
    let kernel = backward.shape(weights)?.get(2..)?.to_vec();
    let group = attribute_int(node, "group").unwrap_or(1);
    spread(backward, node, (weights, &kernel, group), gradient)
}

/// What reaches each place of the input through windows that weigh what they see by `weights`.
fn spread(
    backward: &mut Backward<'_>,
    node: &NodeProto,
    (weights, kernel, group): (&str, &[usize], i64),
    gradient: &str,
) -> Option<String> {
    let (x, y) = (backward.shape(&node.input[0])?, backward.shape(&node.output[0])?);
    let (x, y) = (x.get(2..)?, y.get(2..)?);
    let axes = kernel.len();
    if x.len() != axes || y.len() != axes || axes == 0 {
        return None;
    }
    let list = |name: &str, usual: i64, count: usize| {
        let given = attribute_ints(node, name).filter(|given| given.len() == count);
        given.map_or_else(|| vec![usual; count], <[i64]>::to_vec)
    };
    let (strides, dilations) = (list("strides", 1, axes), list("dilations", 1, axes));
    let mut pads = list("pads", 0, 2 * axes);
    let mut missing = vec![0_i64; 2 * (axes + 2)];
    for axis in 0..axes {
        let reach = (y[axis] as i64 - 1) * strides[axis] + (kernel[axis] as i64 - 1) * dilations[axis] + 1;
        // What lies beyond the input is cut off; where no window reaches, nothing is said.
        let beyond = reach - pads[axis] - x[axis] as i64;
        pads[axes + axis] = beyond.max(0);
        missing[axes + 4 + axis] = (-beyond).max(0);
    }
    let attributes = vec![
        ints_attribute("strides", strides),
        ints_attribute("dilations", dilations),
        ints_attribute("pads", pads),
        ints_attribute(
            "kernel_shape",
            kernel.iter().map(|size| *size as i64).collect::<Vec<_>>(),
        ),
        int_attribute("group", group),
    ];
    let spread = backward.node("ConvTranspose", &[gradient, weights], attributes);
    Some(if missing.iter().any(|size| *size > 0) {
        let missing = backward.list(&missing);
        backward.node("Pad", &[&spread, &missing], Vec::new())
    } else {
        spread
    })
}

/// Each window's gradient spread evenly over it: exact for means of whole windows; for a maximum, of which one place of the window
/// would have it, it is the mean over where that may be.
fn pool(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let kernel: Option<Vec<usize>> = attribute_ints(node, "kernel_shape")?
        .iter()
        .map(|size| usize::try_from(*size).ok())
        .collect();
    let kernel = kernel?;
    if !has_own_pads(node) {
        return None;
    }
    let channels = *backward.shape(&node.input[0])?.get(1)?;
    let window: usize = kernel.iter().product();
    let shape: Vec<usize> = [channels, 1].into_iter().chain(kernel.iter().copied()).collect();
    let weights = backward.floats(&shape, &vec![1.0 / window.max(1) as f32; channels * window]);
    spread(backward, node, (&weights, &kernel, channels as i64), gradient)
}

/// A mean over axes: every place has its share.
fn spread_mean(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let x = backward.shape(&node.input[0])?;
    let axes: Vec<i64> = match node.op_type() {
        "GlobalAveragePool" => (2..x.len() as i64).collect(),
        _ => match attribute_ints(node, "axes") {
            Some(axes) => axes.to_vec(),
            None => backward.whole_input(node, 1)?,
        },
    };
    let axes: Option<Vec<usize>> = axes.iter().map(|axis| place(*axis, x.len())).collect();
    let axes = axes?;
    let kept: Vec<usize> = (x.iter().enumerate())
        .map(|(axis, size)| if axes.contains(&axis) { 1 } else { *size })
        .collect();
    let count: usize = axes.iter().map(|axis| x[*axis]).product();
    let share = backward.times(gradient, 1.0 / count.max(1) as f32);
    let share = backward.reshaped(&share, &kept);
    let sizes: Vec<i64> = x.iter().map(|size| *size as i64).collect();
    let sizes = backward.list(&sizes);
    Some(backward.node("Expand", &[&share, &sizes], Vec::new()))
}

/// The part of the gradient that lies on the input of a Pad with a constant.
fn unpadded(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let mode = attribute_string(node, "mode").unwrap_or("constant");
    let x = backward.shape(&node.input[0])?;
    if mode != "constant" || node.input.get(3).is_some_and(|axes| !axes.is_empty()) {
        return None;
    }
    let pads = backward.whole_input(node, 1).filter(|pads| pads.len() == 2 * x.len())?;
    if pads.iter().any(|pad| *pad < 0) {
        return None;
    }
    let starts = &pads[..x.len()];
    let ends: Vec<i64> = starts.iter().zip(x).map(|(start, size)| start + *size as i64).collect();
    let (starts, ends) = (backward.list(starts), backward.list(&ends));
    Some(backward.node("Slice", &[gradient, &starts, &ends], Vec::new()))
}

/// The gradient of a part of a value, zero around it: with steps as a transposed convolution of one place.
fn unsliced(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let x = backward.shape(&node.input[0])?;
    let y = backward.shape(&node.output[0])?;
    let starts = backward.whole_input(node, 1)?;
    let axes = match node.input.get(3).filter(|name| !name.is_empty()) {
        Some(_) => backward.whole_input(node, 3)?,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match node.input.get(4).filter(|name| !name.is_empty()) {
        Some(_) => backward.whole_input(node, 4)?,
        None => vec![1; starts.len()],
    };
    let mut before = vec![0_i64; x.len()];
    let mut step_of = vec![1_i64; x.len()];
    for ((start, axis), step) in starts.iter().zip(&axes).zip(&steps) {
        let axis = place(*axis, x.len())?;
        let size = x[axis] as i64;
        let start = if *start < 0 { start + size } else { *start };
        (before[axis], step_of[axis]) = (start.clamp(0, size), *step);
    }
    if step_of.iter().any(|step| *step < 1) || step_of.iter().take(2).any(|step| *step != 1) || x.len() != y.len() {
        return None;
    }
    let mut value = gradient.to_owned();
    let mut reached: Vec<i64> = y.iter().map(|size| *size as i64).collect();
    if step_of.iter().any(|step| *step != 1) {
        let channels = *y.get(1)?;
        let shape: Vec<usize> = [channels, 1].into_iter().chain(vec![1; x.len() - 2]).collect();
        let ones = backward.floats(&shape, &vec![1.0; channels]);
        let attributes = vec![
            ints_attribute("strides", step_of[2..].to_vec()),
            int_attribute("group", channels as i64),
        ];
        value = backward.node("ConvTranspose", &[&value, &ones], attributes);
        for axis in 2..x.len() {
            reached[axis] = (reached[axis] - 1) * step_of[axis] + 1;
        }
    }
    let behind = (0..x.len()).map(|axis| x[axis] as i64 - before[axis] - reached[axis]);
    let pads: Vec<i64> = before.iter().copied().chain(behind).collect();
    if pads.iter().any(|pad| *pad < 0) {
        return None;
    }
    let pads = backward.list(&pads);
    Some(backward.node("Pad", &[&value, &pads], Vec::new()))
}

/// `A B` with a constant `B`: the gradient times its transpose.
fn product(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) -> Option<String> {
    let weights = node.input.get(1)?;
    if backward.shape(weights)?.len() != 2 || backward.wants(weights) {
        return None;
    }
    let gemm = node.op_type() == "Gemm";
    let is = |name: &str| gemm && attribute_int(node, name).unwrap_or(0) != 0;
    if is("transA") {
        return None;
    }
    let factor = attribute_float(node, "alpha").filter(|_| gemm).unwrap_or(1.0);
    let weights = if is("transB") {
        weights.clone()
    } else {
        backward.node("Transpose", &[weights], Vec::new())
    };
    let product = backward.node("MatMul", &[gradient, &weights], Vec::new());
    Some(if factor == 1.0 {
        product
    } else {
        backward.times(&product, factor)
    })
}

/// Sums, differences and products of two values, either of which may be repeated along axes.
fn elementwise(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) {
    let [x, y] = node.input.as_slice() else { return };
    for (value, other, second) in [(x, y, false), (y, x, true)] {
        if !backward.wants(value) {
            continue;
        }
        let own = match node.op_type() {
            "Mul" => backward.node("Mul", &[gradient, other], Vec::new()),
            "Sub" if second => backward.times(gradient, -1.0),
            _ => gradient.to_owned(),
        };
        if let Some(own) = unrepeated(backward, own, &node.output[0], value) {
            backward.add(value, own);
        }
    }
}

/// A gradient of the shape of `output`, summed over the axes along which `value` was repeated.
fn unrepeated(backward: &mut Backward<'_>, gradient: String, output: &str, value: &str) -> Option<String> {
    let (whole, own) = (backward.shape(output)?, backward.shape(value)?);
    if whole == own {
        return Some(gradient);
    }
    let more = whole.len().checked_sub(own.len())?;
    let repeated = |axis: &usize| *axis < more || (own[*axis - more] == 1 && whole[*axis] != 1);
    let axes: Vec<i64> = (0..whole.len()).filter(repeated).map(|axis| axis as i64).collect();
    let sum = backward.sum(&gradient, &axes);
    Some(backward.reshaped(&sum, own))
}

/// The pieces of the gradient that belong to the values put together.
fn pieces(backward: &mut Backward<'_>, node: &NodeProto, gradient: &str) {
    let Some(axis) = attribute_int(node, "axis") else {
        return;
    };
    let mut start = 0_i64;
    for value in &node.input {
        let Some(shape) = backward.shape(value) else { return };
        let Some(place) = place(axis, shape.len()) else { return };
        let end = start + shape[place] as i64;
        if backward.wants(value) {
            let [starts, ends, axes] = [start, end, place as i64].map(|number| backward.list(&[number]));
            let piece = backward.node("Slice", &[gradient, &starts, &ends, &axes], Vec::new());
            backward.add(value, piece);
        }
        start = end;
    }
}

/// An axis of so many; negative ones count from the end.
fn place(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

/// Whether the pads of a window are those that the node gives.
fn has_own_pads(node: &NodeProto) -> bool {
    matches!(attribute_string(node, "auto_pad"), None | Some("NOTSET" | "VALID"))
}
