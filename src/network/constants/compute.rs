//! The operators that only move elements about, carried out on constants of any element type of whole bytes; arithmetic on
//! floats is beside.

use super::{Budget, arithmetic};
use crate::onnx::build::{attribute_int, attribute_ints, raw_tensor};
use crate::onnx::schema::data_type;
use crate::onnx::{MOST_AXES, NodeProto, TensorProto, byte_count, element_count, tensor_bytes};
use bytes::Bytes;

/// Whether [`compute`] knows the operator.
pub(super) fn is_computable(node: &NodeProto) -> bool {
    arithmetic::is_computable(node.op_type())
        || matches!(
            node.op_type(),
            "Identity"
                | "Cast"
                | "Reshape"
                | "Flatten"
                | "Squeeze"
                | "Unsqueeze"
                | "Transpose"
                | "Slice"
                | "Concat"
                | "Gather"
        )
}

/// A constant as elements of whole bytes.
struct Array {
    element_type: i32,
    width: usize,
    dims: Vec<usize>,
    bytes: Bytes,
}

impl Array {
    fn of(tensor: &TensorProto) -> Option<Self> {
        let count = element_count(tensor).ok()?;
        let bytes = tensor_bytes(tensor).ok()?;
        let width = byte_count(tensor).ok()?.checked_div(count)?;
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
        (width > 0 && bytes.len() == width * count).then_some(Self {
            element_type: tensor.data_type(),
            width,
            dims: dims?,
            bytes,
        })
    }

    fn into_tensor(self) -> TensorProto {
        raw_tensor("", self.element_type, &self.dims, self.bytes)
    }

    /// The same elements in another shape.
    fn shaped(self, dims: Vec<usize>) -> Option<Self> {
        let count = |dims: &[usize]| {
            dims.iter()
                .try_fold(1_usize, |product, &size| product.checked_mul(size))
        };
        (count(&dims)? == count(&self.dims)?).then_some(Self { dims, ..self })
    }

    /// Axis `axis`, counted from the end if negative.
    fn axis(&self, axis: i64) -> Option<usize> {
        from_end(axis, self.dims.len()).filter(|axis| *axis < self.dims.len())
    }

    /// Elements behind one place of `axis`, in bytes.
    fn block(&self, axis: usize) -> usize {
        self.dims[axis + 1..].iter().product::<usize>() * self.width
    }

    /// The places `places` of `axis`, in that order.
    fn taken(&self, axis: usize, places: &[usize], budget: &mut Budget) -> Option<Self> {
        let (size, block) = (self.dims[axis], self.block(axis));
        if places.iter().any(|place| *place >= size) {
            return None;
        }
        let outer: usize = self.dims[..axis].iter().product();
        let size_of_all = outer.checked_mul(places.len())?.checked_mul(block)?;
        budget.copy(size_of_all)?;
        let mut bytes = Vec::with_capacity(size_of_all);
        for row in 0..outer {
            for place in places {
                bytes.extend_from_slice(&self.bytes[(row * size + place) * block..][..block]);
            }
        }
        let mut dims = self.dims.clone();
        dims[axis] = places.len();
        Some(Self {
            dims,
            bytes: bytes.into(),
            ..*self
        })
    }

    fn transposed(&self, perm: &[usize], budget: &mut Budget) -> Option<Self> {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.dims.len()) {
            return None;
        }
        let mut strides = vec![self.width; self.dims.len()];
        for axis in (0..self.dims.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * self.dims[axis + 1];
        }
        let dims: Vec<usize> = perm.iter().map(|&axis| self.dims[axis]).collect();
        budget.copy(self.bytes.len())?;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut index = vec![0; dims.len()];
        for _ in 0..self.bytes.len() / self.width {
            let place: usize = index.iter().zip(perm).map(|(i, &axis)| i * strides[axis]).sum();
            bytes.extend_from_slice(&self.bytes[place..place + self.width]);
            for axis in (0..dims.len()).rev() {
                index[axis] += 1;
                if index[axis] < dims[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Some(Self {
            dims,
            bytes: bytes.into(),
            ..*self
        })
    }
}

/// What `node` makes of constant `inputs`; `None` where it is not known or does not hold together: then the engine says why.
/// `None` also where it would cost more than what is left of `budget`.
pub(super) fn compute(node: &NodeProto, inputs: &[Option<TensorProto>], budget: &mut Budget) -> Option<TensorProto> {
    if arithmetic::is_computable(node.op_type()) {
        return arithmetic::compute(node, inputs, budget);
    }
    let first = Array::of(inputs.first()?.as_ref()?)?;
    let numbers = |slot: usize| inputs.get(slot).and_then(Option::as_ref).and_then(integers);
    let given = |slot: usize| inputs.get(slot).is_some_and(Option::is_some);
    // Lists that became inputs in later operator sets.
    let list = |slot: usize, name: &str| numbers(slot).or_else(|| attribute_ints(node, name).map(<[i64]>::to_vec));
    let computed = match node.op_type() {
        "Identity" => first,
        "Cast" => {
            let to = attribute_int(node, "to")?;
            if to != i64::from(first.element_type) {
                return arithmetic::cast(inputs.first()?.as_ref()?, to, budget);
            }
            first
        }
        "Reshape" => {
            let dims = reshaped(
                &first.dims,
                &list(1, "shape")?,
                attribute_int(node, "allowzero") == Some(1),
            )?;
            first.shaped(dims)?
        }
        "Flatten" => {
            let axis = from_end(attribute_int(node, "axis").unwrap_or(1), first.dims.len())?;
            let (before, behind) = first.dims.split_at_checked(axis)?;
            let dims = vec![before.iter().product(), behind.iter().product()];
            first.shaped(dims)?
        }
        "Squeeze" => {
            let axes = match list(1, "axes") {
                Some(axes) => axes
                    .into_iter()
                    .map(|axis| first.axis(axis))
                    .collect::<Option<Vec<_>>>()?,
                None => (0..first.dims.len()).filter(|axis| first.dims[*axis] == 1).collect(),
            };
            let kept = (0..first.dims.len()).filter(|axis| !axes.contains(axis));
            let dims = kept.map(|axis| first.dims[axis]).collect();
            first.shaped(dims)?
        }
        "Unsqueeze" => {
            let axes = list(1, "axes").filter(|axes| axes.len() <= MOST_AXES)?;
            let rank = first.dims.len() + axes.len();
            let axes: Vec<usize> = axes
                .into_iter()
                .map(|axis| from_end(axis, rank))
                .collect::<Option<_>>()?;
            let mut old = first.dims.iter().copied();
            let dims = (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { old.next() });
            let dims = dims.collect::<Option<Vec<_>>>()?;
            first.shaped(dims)?
        }
        "Transpose" => {
            let reversed = || (0..first.dims.len()).rev().collect();
            let perm = match attribute_ints(node, "perm") {
                Some(perm) => perm
                    .iter()
                    .map(|&axis| usize::try_from(axis).ok())
                    .collect::<Option<_>>()?,
                None => reversed(),
            };
            let perm: Vec<usize> = perm;
            first.transposed(&perm, budget)?
        }
        "Slice" => {
            let (starts, ends) = (list(1, "starts")?, list(2, "ends")?);
            let axes = list(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
            let steps = if given(4) { numbers(4)? } else { vec![1; starts.len()] };
            let mut array = first;
            for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
                let axis = array.axis(axis)?;
                // The list of places, too, must have room.
                budget.copy(array.dims[axis].checked_mul(size_of::<usize>())?)?;
                array = array.taken(axis, &sliced(array.dims[axis], start, end, step)?, budget)?;
            }
            array
        }
        "Gather" => {
            let axis = first.axis(attribute_int(node, "axis").unwrap_or(0))?;
            let index = inputs.get(1)?.as_ref()?;
            if index.dims.len() != 1 {
                return None;
            }
            let size = first.dims[axis];
            let places = integers(index)?.into_iter().map(|place| from_end(place, size));
            first.taken(axis, &places.collect::<Option<Vec<_>>>()?, budget)?
        }
        "Concat" => concat(first, &inputs[1..], attribute_int(node, "axis")?, budget)?,
        _ => return None,
    };
    Some(computed.into_tensor())
}

fn concat(first: Array, others: &[Option<TensorProto>], axis: i64, budget: &mut Budget) -> Option<Array> {
    let axis = first.axis(axis)?;
    let mut arrays = vec![first];
    for other in others {
        let other = Array::of(other.as_ref()?)?;
        let fits = |(at, (mine, theirs)): (usize, (&usize, &usize))| at == axis || mine == theirs;
        let first = &arrays[0];
        let same_rank = other.dims.len() == first.dims.len() && other.element_type == first.element_type;
        if !same_rank || !first.dims.iter().zip(&other.dims).enumerate().all(fits) {
            return None;
        }
        arrays.push(other);
    }
    budget.copy(
        arrays
            .iter()
            .map(|array| array.bytes.len())
            .fold(0, usize::saturating_add),
    )?;
    let outer: usize = arrays[0].dims[..axis].iter().product();
    let mut bytes = Vec::new();
    for row in 0..outer {
        for array in &arrays {
            let part = array.dims[axis] * array.block(axis);
            bytes.extend_from_slice(&array.bytes[row * part..][..part]);
        }
    }
    let mut dims = arrays[0].dims.clone();
    dims[axis] = arrays.iter().map(|array| array.dims[axis]).sum();
    Some(Array {
        dims,
        bytes: bytes.into(),
        ..arrays.swap_remove(0)
    })
}

/// The sizes that `shape` asks for: 0 keeps a size (unless `zero` is meant), -1 takes what is left.
fn reshaped(dims: &[usize], shape: &[i64], zero: bool) -> Option<Vec<usize>> {
    let kept = |(at, &size): (usize, &i64)| match size {
        0 if !zero => dims.get(at).copied().map(Some),
        -1 => Some(None),
        size => usize::try_from(size).ok().map(Some),
    };
    let sizes = shape
        .iter()
        .enumerate()
        .map(kept)
        .collect::<Option<Vec<Option<usize>>>>()?;
    let known: usize = sizes
        .iter()
        .flatten()
        .try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    let all: usize = dims.iter().product();
    if sizes.iter().filter(|size| size.is_none()).count() > 1 {
        return None;
    }
    let left = all.checked_div(known)?;
    Some(sizes.into_iter().map(|size| size.unwrap_or(left)).collect())
}

/// The places of an axis of `size` that a slice takes.
fn sliced(size: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let size = i64::try_from(size).ok()?;
    let counted = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let start = counted(start).clamp(low.max(0), high);
    let end = if end < 0 && end.saturating_add(size) < 0 {
        low
    } else {
        counted(end).clamp(low, high)
    };
    let mut places = Vec::new();
    let mut place = start;
    while step != 0 && ((step > 0 && place < end) || (step < 0 && place > end)) {
        places.push(usize::try_from(place).ok()?);
        place = place.saturating_add(step);
    }
    (step != 0).then_some(places)
}

/// Place or axis `number` of `count`, counted from the end if negative.
fn from_end(number: i64, count: usize) -> Option<usize> {
    let count = i64::try_from(count).ok()?;
    usize::try_from(if number < 0 { number + count } else { number }).ok()
}

/// The numbers of an integer tensor.
fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let bytes = tensor_bytes(tensor).ok()?;
    match tensor.data_type() {
        data_type::INT64 => Some(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| i64::from_le_bytes(*b))
                .collect(),
        ),
        data_type::INT32 => Some(
            (bytes.as_chunks::<4>().0.iter())
                .map(|b| i64::from(i32::from_le_bytes(*b)))
                .collect(),
        ),
        _ => None,
    }
}
