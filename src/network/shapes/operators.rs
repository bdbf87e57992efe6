//! The shapes that one node makes.

use super::Known;
use crate::onnx::NodeProto;
use crate::onnx::build::{attribute, attribute_int, attribute_ints, attribute_string, attribute_tensor};
use crate::onnx::operators::{Channels, operator_of};

/// The shapes of a node's outputs, as far as they are known.
type Found = Vec<Option<Vec<usize>>>;

/// A node and what is known of its inputs.
pub(super) struct Node<'a> {
    node: &'a NodeProto,
    known: &'a Known,
}

impl<'a> Node<'a> {
    pub(super) fn new(node: &'a NodeProto, known: &'a Known) -> Self {
        Self { node, known }
    }

    /// The shape of input `slot`.
    fn shape(&self, slot: usize) -> Option<&'a [usize]> {
        let name = self.node.input.get(slot)?;
        self.known.shapes.get(name).map(Vec::as_slice)
    }

    /// The integers of input `slot`, else of the attribute that held them in earlier operator sets.
    fn integers(&self, slot: usize, attribute: &str) -> Option<Vec<i64>> {
        match self.node.input.get(slot).filter(|name| !name.is_empty()) {
            Some(name) => self.known.sizes.get(name)?.integers(),
            None => attribute_ints(self.node, attribute).map(<[i64]>::to_vec),
        }
    }

    fn has(&self, slot: usize, attribute_name: &str) -> bool {
        self.node.input.get(slot).is_some_and(|name| !name.is_empty()) || attribute(self.node, attribute_name).is_some()
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        attribute_int(self.node, name).unwrap_or(default)
    }

    /// Axis `axis` of `rank`, counted from the end if negative.
    fn axis(&self, name: &str, default: i64, rank: usize) -> Option<usize> {
        from_end(self.int(name, default), rank).filter(|axis| *axis < rank)
    }

    /// The shapes that the node makes; an output that is not in the list is not known.
    pub(super) fn outputs(&self) -> Found {
        let operator = self.node.op_type();
        let several = match operator {
            "Split" => self.split(),
            "TopK" => self.top_k().map(|shape| vec![Some(shape.clone()), Some(shape)]),
            "LSTM" | "GRU" | "RNN" => self.recurrent(),
            "MaxPool" => self.pooled().map(|shape| vec![Some(shape.clone()), Some(shape)]),
            "Dropout" => self.shape(0).map(|shape| vec![Some(shape.to_vec()); 2]),
            "DynamicQuantizeLinear" => self
                .shape(0)
                .map(|shape| vec![Some(shape.to_vec()), Some(vec![]), Some(vec![])]),
            _ => self.first().map(|shape| vec![Some(shape)]),
        };
        several.unwrap_or_default()
    }

    fn first(&self) -> Option<Vec<usize>> {
        let same = || self.shape(0).map(<[usize]>::to_vec);
        match self.node.op_type() {
            "Constant" => {
                let tensor = attribute_tensor(self.node, "value")?;
                tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect()
            }
            "Conv" | "ConvInteger" | "FusedConv" | "NhwcFusedConv" => self.convolution(1),
            "QLinearConv" => self.convolution(3),
            "ConvTranspose" => self.transposed(),
            "AveragePool" | "LpPool" | "QLinearAveragePool" => self.pooled(),
            "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" | "QLinearGlobalAveragePool" => {
                let mut shape = same()?;
                shape.iter_mut().skip(2).for_each(|size| *size = 1);
                Some(shape)
            }
            "Gemm" | "QGemm" => {
                let second = if self.node.op_type() == "Gemm" { 1 } else { 3 };
                let (a, b) = (self.shape(0)?, self.shape(second)?);
                let side = |shape: &[usize], turned: &str, axis: usize| {
                    let axis = axis ^ usize::from(self.int(turned, 0) != 0);
                    shape.get(axis).copied()
                };
                (side(a, "transA", 1)? == side(b, "transB", 0)?).then_some(())?;
                Some(vec![side(a, "transA", 0)?, side(b, "transB", 1)?])
            }
            "MatMul" | "MatMulInteger" | "FusedMatMul" | "DynamicQuantizeMatMul" | "MatMulIntegerToFloat" => {
                self.product(1)
            }
            "QLinearMatMul" => self.product(3),
            "MatMulNBits" => {
                let mut shape = same()?;
                *shape.last_mut()? = usize::try_from(self.int("N", 0)).ok()?;
                Some(shape)
            }
            "Flatten" => {
                let shape = self.shape(0)?;
                let axis = from_end(self.int("axis", 1), shape.len()).filter(|axis| *axis <= shape.len())?;
                Some(vec![product(&shape[..axis])?, product(&shape[axis..])?])
            }
            "Reshape" => self.reshaped(),
            "Transpose" => {
                let shape = self.shape(0)?;
                match attribute_ints(self.node, "perm").filter(|perm| !perm.is_empty()) {
                    None => Some(shape.iter().rev().copied().collect()),
                    Some(perm) => perm
                        .iter()
                        .map(|axis| shape.get(usize::try_from(*axis).ok()?).copied())
                        .collect(),
                }
            }
            "Concat" => self.joined(),
            "Slice" => self.slice(),
            "Gather" => {
                let (shape, places) = (self.shape(0)?, self.shape(1)?);
                let axis = self.axis("axis", 0, shape.len())?;
                Some([&shape[..axis], places, &shape[axis + 1..]].concat())
            }
            "GatherElements" => self.shape(1).map(<[usize]>::to_vec),
            "GatherND" => {
                let (shape, places) = (self.shape(0)?, self.shape(1)?);
                let depth = places.last()? + usize::try_from(self.int("batch_dims", 0)).ok()?;
                Some([&places[..places.len() - 1], shape.get(depth..)?].concat())
            }
            "Squeeze" => self.squeezed(),
            "Unsqueeze" => {
                let axes = self.integers(1, "axes")?;
                let shape = self.shape(0)?;
                let rank = shape.len() + axes.len();
                let axes: Vec<usize> = axes.iter().map(|axis| from_end(*axis, rank)).collect::<Option<_>>()?;
                let mut old = shape.iter().copied();
                (0..rank)
                    .map(|axis| if axes.contains(&axis) { Some(1) } else { old.next() })
                    .collect()
            }
            "Expand" => {
                let wanted = unsigned(&self.integers(1, "shape")?)?;
                broadcast(&[self.shape(0)?, &wanted])
            }
            "Tile" => {
                let repeats = unsigned(&self.integers(1, "repeats")?)?;
                let shape = self.shape(0)?;
                (repeats.len() == shape.len()).then_some(())?;
                shape
                    .iter()
                    .zip(&repeats)
                    .map(|(size, times)| size.checked_mul(*times))
                    .collect()
            }
            "Pad" => self.padded(),
            "ConstantOfShape" => unsigned(&self.integers(0, "")?),
            "Shape" => None,
            "Resize" | "Upsample" => self.resized(),
            "DepthToSpace" | "SpaceToDepth" => {
                let (shape, block) = (self.shape(0)?, usize::try_from(self.int("blocksize", 1)).ok()?);
                let [n, c, h, w] = *shape else { return None };
                if self.node.op_type() == "DepthToSpace" {
                    let c = c.checked_div(block.checked_mul(block)?)?;
                    return Some(vec![n, c, h.checked_mul(block)?, w.checked_mul(block)?]);
                }
                let c = c.checked_mul(block.checked_mul(block)?)?;
                Some(vec![n, c, h.checked_div(block)?, w.checked_div(block)?])
            }
            "Where" => broadcast(&[self.shape(0)?, self.shape(1)?, self.shape(2)?]),
            "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "And" | "Or" | "Xor" | "Mod"
            | "BitShift" | "Sum" | "Mean" | "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" | "Pow" => {
                let shapes: Vec<&[usize]> = (0..self.node.input.len())
                    .map(|slot| self.shape(slot))
                    .collect::<Option<_>>()?;
                broadcast(&shapes)
            }
            "QLinearAdd" | "QLinearMul" => broadcast(&[self.shape(0)?, self.shape(3)?]),
            "ArgMax" | "ArgMin" => {
                let mut shape = same()?;
                let axis = self.axis("axis", 0, shape.len())?;
                shape[axis] = 1;
                if self.int("keepdims", 1) == 0 {
                    shape.remove(axis);
                }
                Some(shape)
            }
            "OneHot" => {
                let mut shape = same()?;
                let depth = *self.integers(1, "")?.first()?;
                let axis = from_end(self.int("axis", -1), shape.len() + 1).filter(|axis| *axis <= shape.len())?;
                shape.insert(axis, usize::try_from(depth).ok()?);
                Some(shape)
            }
            operator if operator.starts_with("Reduce") => self.reduced(),
            "Einsum" => self.einsum(),
            "Softmax"
            | "LogSoftmax"
            | "Hardmax"
            | "LayerNormalization"
            | "GroupNormalization"
            | "RMSNormalization"
            | "SimplifiedLayerNormalization"
            | "SkipLayerNormalization"
            | "SkipSimplifiedLayerNormalization"
            | "MeanVarianceNormalization"
            | "LpNormalization"
            | "LRN"
            | "CumSum"
            | "Trilu"
            | "Not"
            | "IsNaN"
            | "IsInf"
            | "Sin"
            | "Cos"
            | "Tan"
            | "Asin"
            | "Acos"
            | "Atan"
            | "Sinh"
            | "Cosh"
            | "Asinh"
            | "Acosh"
            | "Atanh"
            | "ScatterElements"
            | "ScatterND"
            | "Scatter"
            | "ReverseSequence"
            | "CastLike"
            | "Shrink"
            | "BiasGelu"
            | "FastGelu"
            | "QuickGelu"
            | "RotaryEmbedding"
            | "MultiHeadAttention"
            | "BitwiseNot"
            | "HardSwish"
            | "QLinearLeakyRelu"
            | "QLinearSigmoid"
            | "QLinearSoftmax"
            | "RandomNormalLike"
            | "RandomUniformLike"
            | "Bernoulli"
            | "EyeLike" => same(),
            _ => match operator_of(self.node)?.channels {
                Channels::Elementwise | Channels::Normalize(_) | Channels::Quantize => same(),
                Channels::Binary => broadcast(&[self.shape(0)?, self.shape(1)?]),
                Channels::Pool | Channels::Flatten | Channels::Reduce { .. } | Channels::Move => None,
            },
        }
    }

    /// Kernel, strides, dilations and pads of `axes` spatial axes.
    fn window(&self, kernel: Vec<usize>) -> Option<Window> {
        let axes = kernel.len();
        let list = |name: &str, default: usize| match attribute_ints(self.node, name) {
            Some(list) if list.len() == axes => unsigned(list),
            Some([]) | None => Some(vec![default; axes]),
            Some(_) => None,
        };
        let pads = match attribute_ints(self.node, "pads") {
            Some(pads) if pads.len() == 2 * axes => unsigned(pads)?,
            _ => vec![0; 2 * axes],
        };
        Some(Window {
            strides: list("strides", 1)?,
            dilations: list("dilations", 1)?,
            kernel,
            pads,
            auto: attribute_string(self.node, "auto_pad").unwrap_or("NOTSET").to_owned(),
            ceil: self.int("ceil_mode", 0) != 0,
        })
    }

    fn convolution(&self, weight: usize) -> Option<Vec<usize>> {
        let (shape, weight) = (self.shape(0)?, self.shape(weight)?);
        let window = self.window(weight.get(2..)?.to_vec())?;
        let groups = usize::try_from(self.int("group", 1)).ok()?;
        (weight[1].checked_mul(groups)? == *shape.get(1)?).then_some(())?;
        let sizes = window.sizes(shape.get(2..)?)?;
        Some([&[*shape.first()?, *weight.first()?], sizes.as_slice()].concat())
    }

    fn pooled(&self) -> Option<Vec<usize>> {
        let shape = self.shape(0)?;
        let window = self.window(unsigned(attribute_ints(self.node, "kernel_shape")?)?)?;
        let sizes = window.sizes(shape.get(2..)?)?;
        Some([&shape[..2], sizes.as_slice()].concat())
    }

    fn transposed(&self) -> Option<Vec<usize>> {
        let (shape, weight) = (self.shape(0)?, self.shape(1)?);
        let window = self.window(weight.get(2..)?.to_vec())?;
        let groups = usize::try_from(self.int("group", 1)).ok()?;
        let channels = weight.get(1)?.checked_mul(groups)?;
        let front = [*shape.first()?, channels];
        if let Some(sizes) = attribute_ints(self.node, "output_shape").filter(|sizes| !sizes.is_empty()) {
            let sizes = unsigned(sizes)?;
            return Some([&front[..], &sizes[sizes.len().checked_sub(window.kernel.len())?..]].concat());
        }
        let more = match attribute_ints(self.node, "output_padding").filter(|more| more.len() == window.kernel.len()) {
            Some(more) => unsigned(more)?,
            None => vec![0; window.kernel.len()],
        };
        let axes = window.kernel.len();
        let size = |(axis, size): (usize, &usize)| {
            let stride = window.strides[axis];
            let pads = match window.auto.as_str() {
                "VALID" => 0,
                // As much as leaves `stride` times the size; nothing where the kernel is smaller than that.
                "SAME_UPPER" | "SAME_LOWER" => (window.reach(axis)?.checked_add(more[axis])?).saturating_sub(stride),
                _ => window.pads[axis].checked_add(window.pads[axis + axes])?,
            };
            let whole = size
                .checked_sub(1)?
                .checked_mul(stride)?
                .checked_add(window.reach(axis)?)?;
            whole.checked_add(more[axis])?.checked_sub(pads)
        };
        let spatial = shape.get(2..).filter(|spatial| spatial.len() == axes)?;
        let sizes = spatial.iter().enumerate().map(size).collect::<Option<Vec<usize>>>()?;
        Some([&front[..], &sizes].concat())
    }

    fn product(&self, second: usize) -> Option<Vec<usize>> {
        let (a, b) = (self.shape(0)?, self.shape(second)?);
        let turned = |shape: &[usize], name: &str| {
            let mut shape = shape.to_vec();
            if let (true, [.., rows, columns]) = (self.int(name, 0) != 0, shape.as_mut_slice()) {
                std::mem::swap(rows, columns);
            }
            shape
        };
        let (a, b) = (turned(a, "transA"), turned(b, "transB"));
        let inner = [a.last()?, b.get(b.len().saturating_sub(2))?];
        (inner[0] == inner[1]).then_some(())?;
        let (rows, columns) = match (a.as_slice(), b.as_slice()) {
            ([_], [_]) => (None, None),
            ([_], [.., _, columns]) => (None, Some(*columns)),
            ([.., rows, _], [_]) => (Some(*rows), None),
            ([.., rows, _], [.., _, columns]) => (Some(*rows), Some(*columns)),
            _ => return None,
        };
        let batch = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
        let mut shape = broadcast(&[&batch(&a), &batch(&b)])?;
        shape.extend(rows.into_iter().chain(columns));
        Some(shape)
    }

    fn reshaped(&self) -> Option<Vec<usize>> {
        let (shape, wanted) = (self.shape(0)?, self.integers(1, "shape")?);
        let keeps_zero = self.int("allowzero", 0) != 0;
        let size = |(axis, size): (usize, &i64)| match *size {
            -1 => Some(None),
            0 if !keeps_zero => shape.get(axis).copied().map(Some),
            size => usize::try_from(size).ok().map(Some),
        };
        let sizes = wanted.iter().enumerate().map(size).collect::<Option<Vec<_>>>()?;
        let given = product(&sizes.iter().flatten().copied().collect::<Vec<_>>())?;
        let left = product(shape)?.checked_div(given).unwrap_or(0);
        let sizes: Vec<usize> = sizes.into_iter().map(|size| size.unwrap_or(left)).collect();
        (product(&sizes)? == product(shape)?).then_some(sizes)
    }

    fn joined(&self) -> Option<Vec<usize>> {
        let mut joined = self.shape(0)?.to_vec();
        let axis = self.axis("axis", 1, joined.len())?;
        for slot in 1..self.node.input.len() {
            let shape = self.shape(slot).filter(|shape| shape.len() == joined.len())?;
            let fits = |other: usize| other == axis || shape[other] == joined[other];
            (0..joined.len()).all(fits).then_some(())?;
            joined[axis] = joined[axis].checked_add(shape[axis])?;
        }
        Some(joined)
    }

    fn split(&self) -> Option<Found> {
        let shape = self.shape(0)?;
        let axis = self.axis("axis", 0, shape.len())?;
        let parts = self.node.output.len();
        let sizes = if self.has(1, "split") {
            unsigned(&self.integers(1, "split")?)?
        } else {
            let each = shape[axis].div_ceil(parts.max(1));
            (0..parts)
                .map(|part| each.min(shape[axis].saturating_sub(part * each)))
                .collect()
        };
        let part = |size: &usize| {
            let mut shape = shape.to_vec();
            shape[axis] = *size;
            Some(shape)
        };
        Some(sizes.iter().map(part).collect())
    }

    fn slice(&self) -> Option<Vec<usize>> {
        let mut shape = self.shape(0)?.to_vec();
        let (starts, ends) = (self.integers(1, "starts")?, self.integers(2, "ends")?);
        let axes = if self.has(3, "axes") {
            self.integers(3, "axes")?
        } else {
            (0..starts.len() as i64).collect()
        };
        let steps = if self.has(4, "steps") {
            self.integers(4, "steps")?
        } else {
            vec![1; starts.len()]
        };
        for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let axis = from_end(axis, shape.len()).filter(|axis| *axis < shape.len())?;
            shape[axis] = sliced(shape[axis], start, end, step)?.len();
        }
        Some(shape)
    }

    fn squeezed(&self) -> Option<Vec<usize>> {
        let shape = self.shape(0)?;
        if !self.has(1, "axes") {
            return Some(shape.iter().copied().filter(|size| *size != 1).collect());
        }
        let axes = self.integers(1, "axes")?;
        let axes: Vec<usize> = axes
            .iter()
            .map(|axis| from_end(*axis, shape.len()))
            .collect::<Option<_>>()?;
        let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        Some(kept.map(|(_, size)| *size).collect())
    }

    fn reduced(&self) -> Option<Vec<usize>> {
        let shape = self.shape(0)?;
        let keeps = self.int("keepdims", 1) != 0;
        let axes = if self.has(1, "axes") {
            self.integers(1, "axes")?
        } else {
            vec![]
        };
        if axes.is_empty() && self.int("noop_with_empty_axes", 0) != 0 {
            return Some(shape.to_vec());
        }
        let axes: Vec<usize> = axes
            .iter()
            .map(|axis| from_end(*axis, shape.len()))
            .collect::<Option<_>>()?;
        let is_reduced = |axis: usize| axes.is_empty() || axes.contains(&axis);
        let size = |(axis, size): (usize, &usize)| match (is_reduced(axis), keeps) {
            (false, _) => Some(*size),
            (true, true) => Some(1),
            (true, false) => None,
        };
        Some(shape.iter().enumerate().filter_map(size).collect())
    }

    fn top_k(&self) -> Option<Vec<usize>> {
        let mut shape = self.shape(0)?.to_vec();
        let axis = self.axis("axis", -1, shape.len())?;
        let count = match self.node.input.get(1) {
            Some(_) => *self.integers(1, "")?.first()?,
            None => attribute_int(self.node, "k")?,
        };
        shape[axis] = usize::try_from(count).ok()?;
        Some(shape)
    }

    fn padded(&self) -> Option<Vec<usize>> {
        let shape = self.shape(0)?;
        let pads = self.integers(1, "pads")?;
        let axes = match self.node.input.get(3).filter(|name| !name.is_empty()) {
            Some(_) => self.integers(3, "")?,
            None => (0..shape.len() as i64).collect(),
        };
        (pads.len() == 2 * axes.len()).then_some(())?;
        let mut padded = shape.to_vec();
        for (place, axis) in axes.iter().enumerate() {
            let size = padded.get_mut(from_end(*axis, shape.len())?)?;
            let more = pads[place].checked_add(pads[place + axes.len()])?;
            *size = usize::try_from(i64::try_from(*size).ok()?.checked_add(more)?).ok()?;
        }
        Some(padded)
    }

    fn resized(&self) -> Option<Vec<usize>> {
        let shape = self.shape(0)?;
        let is_old = self.node.op_type() == "Upsample" || self.node.input.len() == 2;
        let scales = match self
            .node
            .input
            .get(if is_old { 1 } else { 2 })
            .filter(|name| !name.is_empty())
        {
            Some(name) => self.known.sizes.get(name).map(|sizes| sizes.numbers.clone()),
            None => attribute(self.node, "scales").map(|scales| scales.floats.iter().map(|s| f64::from(*s)).collect()),
        };
        let axes = match attribute_ints(self.node, "axes") {
            Some(axes) => axes
                .iter()
                .map(|axis| from_end(*axis, shape.len()))
                .collect::<Option<Vec<_>>>()?,
            None => (0..shape.len()).collect(),
        };
        let policy = attribute_string(self.node, "keep_aspect_ratio_policy").unwrap_or("stretch");
        let mut resized = shape.to_vec();
        if let Some(scales) = scales.filter(|scales| !scales.is_empty()) {
            (scales.len() == axes.len()).then_some(())?;
            for (axis, scale) in axes.into_iter().zip(scales) {
                let size = (*resized.get(axis)? as f64 * f64::from(scale as f32)).floor();
                *resized.get_mut(axis)? = (0.0..1e12).contains(&size).then_some(size as usize)?;
            }
            return Some(resized);
        }
        let sizes = unsigned(&self.integers(3, "")?)?;
        (sizes.len() == axes.len() && policy == "stretch").then_some(())?;
        for (axis, size) in axes.into_iter().zip(sizes) {
            *resized.get_mut(axis)? = size;
        }
        Some(resized)
    }

    fn recurrent(&self) -> Option<Found> {
        let (input, recurrent) = (self.shape(0)?, self.shape(2)?);
        let ([a, b, _], [ways, _, hidden]) = (input, recurrent) else {
            return None;
        };
        let last = |batch: usize| vec![*ways, batch, *hidden];
        let (all, last) = if self.int("layout", 0) == 0 {
            (vec![*a, *ways, *b, *hidden], last(*b))
        } else {
            (vec![*a, *b, *ways, *hidden], vec![*a, *ways, *hidden])
        };
        Some(vec![Some(all), Some(last.clone()), Some(last)])
    }

    fn einsum(&self) -> Option<Vec<usize>> {
        let equation: String = attribute_string(self.node, "equation")?.split_whitespace().collect();
        if equation.contains('.') {
            return None;
        }
        let (inputs, output) = match equation.split_once("->") {
            Some((inputs, output)) => (inputs, output.to_owned()),
            None => {
                // Letters that come once, in their order.
                let mut letters: Vec<char> = equation.chars().filter(|letter| *letter != ',').collect();
                letters.sort_unstable();
                let once = |letter: &char| letters.iter().filter(|other| *other == letter).count() == 1;
                (
                    equation.as_str(),
                    letters.iter().filter(|letter| once(letter)).collect(),
                )
            }
        };
        let terms: Vec<&str> = inputs.split(',').collect();
        let size_of = |letter: char| {
            let in_term = |(slot, term): (usize, &&str)| {
                let axis = term.chars().position(|other| other == letter)?;
                self.shape(slot)?.get(axis).copied()
            };
            terms.iter().enumerate().filter_map(in_term).max()
        };
        (0..terms.len()).all(|slot| self.shape(slot).is_some()).then_some(())?;
        output.chars().map(size_of).collect()
    }
}

/// How a kernel goes over spatial axes.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Before each axis, then behind each.
    pads: Vec<usize>,
    auto: String,
    ceil: bool,
}

impl Window {
    /// Elements from the first to the last that a kernel reads.
    fn reach(&self, axis: usize) -> Option<usize> {
        let steps = self.kernel[axis].checked_sub(1)?;
        steps.checked_mul(self.dilations[axis])?.checked_add(1)
    }

    fn sizes(&self, spatial: &[usize]) -> Option<Vec<usize>> {
        let axes = self.kernel.len();
        let size = |axis: usize| {
            let (size, stride) = (*spatial.get(axis)?, self.strides[axis]);
            if stride == 0 {
                return None;
            }
            if self.auto.starts_with("SAME") {
                return Some(size.div_ceil(stride));
            }
            let pads = if self.auto == "VALID" {
                [0, 0]
            } else {
                [self.pads[axis], self.pads[axis + axes]]
            };
            let padded = size.checked_add(pads[0])?.checked_add(pads[1])?;
            let room = padded.checked_sub(self.reach(axis)?)?;
            let mut places = if self.ceil {
                room.div_ceil(stride)
            } else {
                room / stride
            } + 1;
            // A last window that would begin behind the input and its first pads is left out.
            if self.ceil && (places - 1) * stride >= size + pads[0] {
                places -= 1;
            }
            Some(places)
        };
        (spatial.len() == axes).then_some(())?;
        (0..axes).map(size).collect()
    }
}

/// The places of an axis of `size` that a slice takes.
pub(super) fn sliced(
    size: usize,
    start: i64,
    end: i64,
    step: i64,
) -> Option<std::iter::StepBy<std::ops::Range<usize>>> {
    let size = i64::try_from(size).ok()?;
    let counted = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
    let (first, count) = if step > 0 {
        let (start, end) = (counted(start).clamp(0, size), counted(end).clamp(0, size));
        (start, (end - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
    } else {
        (step < 0).then_some(())?;
        // The greatest integer means as far as it goes, also backwards (onnxruntime).
        let is_greatest = end == i64::MAX || end == i64::from(i32::MAX);
        let end = if is_greatest {
            -1
        } else {
            counted(end).clamp(-1, size - 1)
        };
        let start = counted(start).clamp(0, (size - 1).max(0)).min(size - 1);
        (0, (start - end).max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
    };
    // Backwards only the number matters: lists of sizes are not turned round here.
    let (first, count) = (usize::try_from(first).ok()?, usize::try_from(count).ok()?);
    let step = if step > 0 { usize::try_from(step).ok()? } else { 1 };
    let last = first.checked_add(count.checked_mul(step)?)?;
    Some((first..last).step_by(step))
}

/// Axis `number` of `count`, counted from the end if negative.
fn from_end(number: i64, count: usize) -> Option<usize> {
    let count = i64::try_from(count).ok()?;
    usize::try_from(if number < 0 { number.checked_add(count)? } else { number }).ok()
}

fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size))
}

fn unsigned(numbers: &[i64]) -> Option<Vec<usize>> {
    numbers.iter().map(|number| usize::try_from(*number).ok()).collect()
}

/// The shape that shapes are broadcast to, as numpy does it.
fn broadcast(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(|shape| shape.len()).max()?;
    let size = |axis: usize| {
        let sizes = shapes
            .iter()
            .filter_map(|shape| shape.get((axis + shape.len()).checked_sub(rank)?).copied());
        sizes
            .filter(|size| *size != 1)
            .try_fold(1, |all, size| (all == 1 || all == size).then_some(size))
    };
    (0..rank).map(size).collect()
}
