//! Arithmetic on constant floats, for weights that the graph scales, normalizes or rounds: weight normalization, fake
//! quantization, integers behind Cast and Mul.

use super::Budget;
use crate::onnx::build::{attribute_float, attribute_int, attribute_ints};
use crate::onnx::schema::data_type;
use crate::onnx::{NodeProto, TensorProto, element_count, encode_numbers, is_float, is_number, numbers};

/// Numbers with their shape.
struct Floats {
    dims: Vec<usize>,
    values: Vec<f32>,
}

impl Floats {
    fn of(tensor: &TensorProto, budget: &mut Budget) -> Option<Self> {
        budget.copy(element_count(tensor).ok()?.checked_mul(size_of::<f32>())?)?;
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
        Some(Self {
            dims: dims?,
            values: numbers(tensor).ok()?.to_vec(),
        })
    }
}

/// Whether [`compute`] knows the operator.
pub(super) fn is_computable(op: &str) -> bool {
    binary(op).is_some() || unary(op).is_some() || reduction(op).is_some() || op == "Clip"
}

/// What `node` makes of constant `inputs`, all floats of one type; `None` where it is not known, does not hold together, or
/// would cost more than what is left of `budget`.
pub(super) fn compute(node: &NodeProto, inputs: &[Option<TensorProto>], budget: &mut Budget) -> Option<TensorProto> {
    let first = inputs.first()?.as_ref()?;
    let kind = first.data_type();
    // f32 does not hold what 64 bits do.
    if !is_float(first) || kind == data_type::DOUBLE {
        return None;
    }
    let op = node.op_type();
    let made = if let Some(apply) = binary(op) {
        let mut result = Floats::of(first, budget)?;
        for other in &inputs[1..] {
            let other = other.as_ref().filter(|tensor| tensor.data_type() == kind)?;
            result = broadcast(&result, &Floats::of(other, budget)?, apply, budget)?;
        }
        result
    } else if let Some(apply) = unary(op) {
        let mut result = Floats::of(first, budget)?;
        result.values.iter_mut().for_each(|x| *x = apply(*x));
        result
    } else if op == "Clip" {
        let bound = |slot: usize, name: &str, default: f32| match inputs.get(slot).and_then(Option::as_ref) {
            Some(tensor) => numbers(tensor).ok()?.first().copied(),
            None => Some(attribute_float(node, name).unwrap_or(default)),
        };
        let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
        let mut result = Floats::of(first, budget)?;
        result.values.iter_mut().for_each(|x| *x = x.max(low).min(high));
        result
    } else {
        let axes = match inputs.get(1).and_then(Option::as_ref) {
            Some(tensor) => numbers(tensor).ok()?.iter().map(|axis| *axis as i64).collect(),
            None => attribute_ints(node, "axes").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let keeps = attribute_int(node, "keepdims").unwrap_or(1) != 0;
        let empty_keeps_all = attribute_int(node, "noop_with_empty_axes").unwrap_or(0) != 0;
        if axes.is_empty() && empty_keeps_all {
            return None;
        }
        reduce(&Floats::of(first, budget)?, &axes, keeps, &reduction(op)?, budget)?
    };
    encode_numbers("", kind, &made.dims, &made.values).ok()
}

/// A constant as another type of float.
pub(super) fn cast(tensor: &TensorProto, to: i64, budget: &mut Budget) -> Option<TensorProto> {
    use data_type::{BFLOAT16, FLOAT, FLOAT16};
    let to = i32::try_from(to).ok()?;
    if !matches!(to, FLOAT | FLOAT16 | BFLOAT16) || !is_number(tensor.data_type()) {
        return None;
    }
    let floats = Floats::of(tensor, budget)?;
    encode_numbers("", to, &floats.dims, &floats.values).ok()
}

type Binary = fn(f32, f32) -> f32;

fn binary(op: &str) -> Option<Binary> {
    Some(match op {
        "Add" | "Sum" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f32::powf,
        "Max" => f32::max,
        "Min" => f32::min,
        _ => return None,
    })
}

fn unary(op: &str) -> Option<fn(f32) -> f32> {
    Some(match op {
        "Neg" => |x| -x,
        "Abs" => f32::abs,
        "Sqrt" => f32::sqrt,
        "Exp" => f32::exp,
        "Log" => f32::ln,
        "Reciprocal" => |x| 1.0 / x,
        "Round" => f32::round_ties_even,
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        "Tanh" => f32::tanh,
        "Sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
        "Relu" => |x| x.max(0.0),
        "Softplus" => |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
        // Written as 1 and -1, and 0 at 0, unlike `f32::signum`.
        "Sign" => |x| if x == 0.0 { 0.0 } else { x.signum() },
        _ => return None,
    })
}

/// How a reduction takes in a number, where it begins, and what it makes of the result of so many.
struct Reduction {
    start: f64,
    take: fn(f64, f64) -> f64,
    end: fn(f64, usize) -> f64,
}

fn reduction(op: &str) -> Option<Reduction> {
    let same = |sum: f64, _: usize| sum;
    let of = |start, take, end| Some(Reduction { start, take, end });
    match op {
        "ReduceSum" => of(0.0, |sum, x| sum + x, same),
        "ReduceMean" => of(0.0, |sum, x| sum + x, |sum, count| sum / count as f64),
        "ReduceL1" => of(0.0, |sum, x| sum + x.abs(), same),
        "ReduceL2" => of(0.0, |sum, x| x.mul_add(x, sum), |sum, _| sum.sqrt()),
        "ReduceSumSquare" => of(0.0, |sum, x| x.mul_add(x, sum), same),
        "ReduceMax" => of(f64::NEG_INFINITY, f64::max, same),
        "ReduceMin" => of(f64::INFINITY, f64::min, same),
        _ => None,
    }
}

/// Both operands, the shorter one repeated along axes of size 1 and those that it lacks.
fn broadcast(left: &Floats, right: &Floats, apply: Binary, budget: &mut Budget) -> Option<Floats> {
    let rank = left.dims.len().max(right.dims.len());
    let size = |floats: &Floats, axis: usize| {
        let lacking = rank - floats.dims.len();
        if axis < lacking { 1 } else { floats.dims[axis - lacking] }
    };
    let mut dims = Vec::with_capacity(rank);
    for axis in 0..rank {
        dims.push(match (size(left, axis), size(right, axis)) {
            (a, b) if a == b => a,
            (1, other) | (other, 1) => other,
            _ => return None,
        });
    }
    let count = dims.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
    budget.copy(count.checked_mul(size_of::<f32>())?)?;
    // Steps along each axis; none along an axis that is repeated.
    let strides = |floats: &Floats| {
        let mut strides = vec![0; rank];
        let mut step = 1;
        for axis in (0..rank).rev() {
            let size = size(floats, axis);
            strides[axis] = if size == 1 { 0 } else { step };
            step *= size;
        }
        strides
    };
    let (of_left, of_right) = (strides(left), strides(right));
    let mut index = vec![0_usize; rank];
    let mut values = Vec::with_capacity(count);
    let (mut a, mut b) = (0_usize, 0_usize);
    for _ in 0..count {
        values.push(apply(*left.values.get(a)?, *right.values.get(b)?));
        for axis in (0..rank).rev() {
            index[axis] += 1;
            a += of_left[axis];
            b += of_right[axis];
            if index[axis] < dims[axis] {
                break;
            }
            a -= of_left[axis] * dims[axis];
            b -= of_right[axis] * dims[axis];
            index[axis] = 0;
        }
    }
    Some(Floats { dims, values })
}

/// All axes where none is named.
fn reduce(floats: &Floats, axes: &[i64], keeps: bool, by: &Reduction, budget: &mut Budget) -> Option<Floats> {
    let rank = floats.dims.len();
    let mut reduced = vec![axes.is_empty(); rank];
    for &axis in axes {
        let axis = if axis < 0 {
            axis.checked_add(i64::try_from(rank).ok()?)?
        } else {
            axis
        };
        *reduced.get_mut(usize::try_from(axis).ok()?)? = true;
    }
    let kept: Vec<usize> = (0..rank)
        .map(|axis| if reduced[axis] { 1 } else { floats.dims[axis] })
        .collect();
    let count: usize = kept.iter().product();
    budget.copy(count.checked_mul(size_of::<f64>())?)?;
    let mut sums = vec![by.start; count];
    for (element, value) in floats.values.iter().enumerate() {
        let (mut rest, mut place, mut step) = (element, 0, 1);
        for axis in (0..rank).rev() {
            let at = rest % floats.dims[axis];
            rest /= floats.dims[axis];
            if !reduced[axis] {
                place += at * step;
                step *= floats.dims[axis];
            }
        }
        let sum = sums.get_mut(place)?;
        *sum = (by.take)(*sum, f64::from(*value));
    }
    let each = floats.values.len().checked_div(count)?;
    let dims = (0..rank)
        .filter(|axis| keeps || !reduced[*axis])
        .map(|axis| kept[axis])
        .collect();
    Some(Floats {
        dims,
        values: sums.into_iter().map(|sum| (by.end)(sum, each) as f32).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, i8_tensor, int_attribute, ints_attribute, node};

    fn result(node: &NodeProto, inputs: Vec<TensorProto>) -> Option<(Vec<i64>, Vec<f32>)> {
        let inputs: Vec<_> = inputs.into_iter().map(Some).collect();
        let tensor = compute(node, &inputs, &mut whole())?;
        Some((tensor.dims.clone(), numbers(&tensor).ok()?.to_vec()))
    }

    fn whole() -> Budget {
        Budget::WHOLE
    }

    fn op(name: &str) -> NodeProto {
        node(name, "", ["a", "b"], ["y"], vec![])
    }

    #[test]
    fn operands_are_repeated_along_axes_of_size_one() {
        let column = float_tensor("a", &[2, 1], &[1.0, 10.0]);
        let row = float_tensor("b", &[3], &[1.0, 2.0, 3.0]);
        let product = result(&op("Mul"), vec![column.clone(), row.clone()]).unwrap();
        assert_eq!(product, (vec![2, 3], vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0]));
        assert!(result(&op("Mul"), vec![float_tensor("a", &[2], &[1.0, 2.0]), row]).is_none());
        assert_eq!(result(&op("Sub"), vec![column.clone(), column]).unwrap().1, [0.0, 0.0]);
    }

    /// Norms of the rows of [[3, 4], [6, 8]].
    #[test]
    fn norms_are_taken_over_the_named_axes() {
        let w = || float_tensor("a", &[2, 2], &[3.0, 4.0, 6.0, 8.0]);
        let mut norm = node("ReduceL2", "", ["a"], ["y"], vec![ints_attribute("axes", [-1])]);
        assert_eq!(result(&norm, vec![w()]).unwrap(), (vec![2, 1], vec![5.0, 10.0]));
        norm.attribute.push(int_attribute("keepdims", 0));
        assert_eq!(result(&norm, vec![w()]).unwrap(), (vec![2], vec![5.0, 10.0]));
        let mean = node("ReduceMean", "", ["a"], ["y"], vec![int_attribute("keepdims", 0)]);
        assert_eq!(result(&mean, vec![w()]).unwrap(), (vec![], vec![5.25]));
    }

    #[test]
    fn integers_become_floats_by_a_cast_only() {
        let q = i8_tensor("q", &[2], &[-3, 7]);
        let cast = cast(&q, 1, &mut whole()).unwrap();
        assert_eq!(numbers(&cast).unwrap().to_vec(), [-3.0, 7.0]);
        assert!(result(&op("Neg"), vec![q.clone()]).is_none());
        assert!(super::cast(&q, 7, &mut whole()).is_none());
    }

    #[test]
    fn what_would_cost_too_much_is_left_to_the_engine() {
        let mut budget = Budget { nodes: 1, bytes: 16 };
        let w = Some(float_tensor("a", &[8], &[0.0; 8]));
        assert!(compute(&op("Neg"), &[w], &mut budget).is_none());
    }
}
