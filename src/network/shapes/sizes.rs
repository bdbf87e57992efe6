//! Short lists of numbers that sizes are made of, and the operators that exporters write between them.

use super::Known;
use crate::onnx::build::{attribute, attribute_int, attribute_ints, attribute_tensor, is_standard_domain};
use crate::onnx::schema::data_type;
use crate::onnx::{NodeProto, TensorProto, element_count, tensor_bytes};

/// Numbers that are followed at most in one value.
const MAX_NUMBERS: usize = 64;

/// The numbers of a value of a few elements. An f64 holds every size that there is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sizes {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Vec<f64>,
    is_integer: bool,
}

impl Sizes {
    pub(super) fn of_tensor(tensor: &TensorProto) -> Option<Self> {
        if element_count(tensor).ok()? > MAX_NUMBERS {
            return None;
        }
        let bytes = tensor_bytes(tensor).ok()?;
        let (numbers, is_integer) = match tensor.data_type() {
            data_type::INT64 => (each(&bytes, |b| i64::from_le_bytes(b) as f64), true),
            data_type::INT32 => (each(&bytes, |b| f64::from(i32::from_le_bytes(b))), true),
            data_type::BOOL => (each(&bytes, |[b]| f64::from(b)), true),
            data_type::FLOAT => (each(&bytes, |b| f64::from(f32::from_le_bytes(b))), false),
            _ => return None,
        };
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
        Self::new(shape?, numbers, is_integer)
    }

    fn new(shape: Vec<usize>, numbers: Vec<f64>, is_integer: bool) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size))?;
        (count == numbers.len() && count <= MAX_NUMBERS).then_some(Self {
            shape,
            numbers,
            is_integer,
        })
    }

    fn list(numbers: Vec<f64>) -> Option<Self> {
        Self::new(vec![numbers.len()], numbers, true)
    }

    /// The numbers as integers; `None` where one is none.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let whole = |number: &f64| (number.fract() == 0.0 && number.abs() < 1e19).then_some(*number as i64);
        self.numbers.iter().map(whole).collect()
    }
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
}

/// The numbers that `node` makes, if it is one of the operators that sizes pass and all that it reads is known.
pub(super) fn of_node(node: &NodeProto, known: &Known) -> Option<Sizes> {
    if !is_standard_domain(node.domain()) {
        return None;
    }
    let input = |slot: usize| known.sizes.get(node.input.get(slot)?);
    let shape = |slot: usize| known.shapes.get(node.input.get(slot)?);
    match node.op_type() {
        "Constant" => constant(node),
        "Shape" => {
            let shape = shape(0)?;
            let rank = shape.len() as i64;
            let place = |name, default| {
                let place = attribute_int(node, name).unwrap_or(default);
                (if place < 0 { place.saturating_add(rank) } else { place }).clamp(0, rank) as usize
            };
            let part = shape.get(place("start", 0)..place("end", rank)).unwrap_or_default();
            Sizes::list(part.iter().map(|size| *size as f64).collect())
        }
        "Size" => Sizes::new(vec![], vec![shape(0)?.iter().map(|size| *size as f64).product()], true),
        "Identity" => input(0).cloned(),
        "Cast" => {
            let to = attribute_int(node, "to")?;
            let is_integer = [data_type::INT64, data_type::INT32].map(i64::from).contains(&to);
            let is_float = [data_type::FLOAT, data_type::DOUBLE].map(i64::from).contains(&to);
            let mut sizes = input(0)?.clone();
            if is_integer {
                sizes.numbers.iter_mut().for_each(|number| *number = number.trunc());
            }
            sizes.is_integer = is_integer;
            (is_integer || is_float).then_some(sizes)
        }
        "Floor" | "Ceil" | "Neg" | "Sqrt" | "Round" | "Abs" => {
            let mut sizes = input(0)?.clone();
            let by = match node.op_type() {
                "Floor" => f64::floor,
                "Ceil" => f64::ceil,
                "Sqrt" => f64::sqrt,
                "Round" => f64::round_ties_even,
                "Abs" => f64::abs,
                _ => |number: f64| -number,
            };
            sizes.numbers.iter_mut().for_each(|number| *number = by(*number));
            Some(sizes)
        }
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Mod" | "Equal" if node.input.len() == 2 => {
            binary(node.op_type(), input(0)?, input(1)?)
        }
        "Where" => {
            let (condition, yes, no) = (input(0)?, input(1)?, input(2)?);
            let length = condition.numbers.len().max(yes.numbers.len()).max(no.numbers.len());
            let at = |sizes: &Sizes, place: usize| match sizes.numbers.as_slice() {
                [number] => Some(*number),
                numbers if numbers.len() == length => numbers.get(place).copied(),
                _ => None,
            };
            let chosen = |place| at(if at(condition, place)? != 0.0 { yes } else { no }, place);
            let numbers = (0..length).map(chosen).collect::<Option<Vec<f64>>>()?;
            let longest = [condition, yes, no].into_iter().max_by_key(|sizes| sizes.shape.len())?;
            Sizes::new(longest.shape.clone(), numbers, yes.is_integer)
        }
        "Concat" => {
            let parts: Vec<&Sizes> = (0..node.input.len()).map(input).collect::<Option<_>>()?;
            let are_lists = parts.iter().all(|sizes| sizes.shape.len() == 1);
            let numbers: Vec<f64> = parts.iter().flat_map(|sizes| sizes.numbers.iter().copied()).collect();
            are_lists.then(|| Sizes::new(vec![numbers.len()], numbers, parts.first()?.is_integer))?
        }
        "Gather" => {
            let (list, places) = (input(0)?, input(1)?);
            if list.shape.len() != 1 || attribute_int(node, "axis").unwrap_or(0) > 0 {
                return None;
            }
            let length = list.numbers.len() as i64;
            let at = |place: &i64| {
                let place = if *place < 0 { place + length } else { *place };
                list.numbers.get(usize::try_from(place).ok()?).copied()
            };
            let numbers = places.integers()?.iter().map(at).collect::<Option<Vec<f64>>>()?;
            Sizes::new(places.shape.clone(), numbers, list.is_integer)
        }
        "Slice" => {
            let list = input(0)?;
            let (start, end) = (*input(1)?.integers()?.first()?, *input(2)?.integers()?.first()?);
            let step = input(4).map_or(Some(1), |steps| steps.integers()?.first().copied())?;
            if list.shape.len() != 1 || step < 1 {
                return None;
            }
            let places = super::operators::sliced(list.numbers.len(), start, end, step)?;
            let numbers = places.map(|place| list.numbers[place]).collect::<Vec<f64>>();
            Sizes::new(vec![numbers.len()], numbers, list.is_integer)
        }
        // The numbers stay, in the shape that was worked out for the output.
        "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => {
            let shape = known.shapes.get(node.output.first()?)?;
            let list = input(0)?;
            Sizes::new(shape.clone(), list.numbers.clone(), list.is_integer)
        }
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" => {
            let (list, shape) = (input(0)?, known.shapes.get(node.output.first()?)?);
            let numbers = list.numbers.iter().copied();
            let number = match node.op_type() {
                "ReduceProd" => numbers.product(),
                "ReduceSum" => numbers.sum(),
                "ReduceMax" => numbers.fold(f64::NEG_INFINITY, f64::max),
                _ => numbers.fold(f64::INFINITY, f64::min),
            };
            Sizes::new(shape.clone(), vec![number], list.is_integer)
        }
        "ConstantOfShape" => {
            let shape = known.shapes.get(node.output.first()?)?;
            let filling = attribute_tensor(node, "value")
                .map_or_else(|| Sizes::new(vec![1], vec![0.0], false), Sizes::of_tensor)?;
            let count = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size))?;
            let numbers = vec![*filling.numbers.first()?; count.min(MAX_NUMBERS + 1)];
            Sizes::new(shape.clone(), numbers, filling.is_integer)
        }
        "Expand" => {
            let (list, shape) = (input(0)?, known.shapes.get(node.output.first()?)?);
            let [number] = list.numbers.as_slice() else { return None };
            let count = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size))?;
            Sizes::new(
                shape.clone(),
                vec![*number; count.min(MAX_NUMBERS + 1)],
                list.is_integer,
            )
        }
        "Range" => {
            let number = |slot| input(slot)?.numbers.first().copied();
            let (start, limit, delta) = (number(0)?, number(1)?, number(2)?);
            let count = ((limit - start) / delta).ceil();
            if !(0.0..=MAX_NUMBERS as f64).contains(&count) {
                return None;
            }
            let numbers = (0..count as usize).map(|place| start + place as f64 * delta);
            Sizes::new(vec![count as usize], numbers.collect(), input(0)?.is_integer)
        }
        _ => None,
    }
}

fn constant(node: &NodeProto) -> Option<Sizes> {
    if let Some(tensor) = attribute_tensor(node, "value") {
        return Sizes::of_tensor(tensor);
    }
    if let Some(integers) = attribute_ints(node, "value_ints").filter(|_| attribute(node, "value_ints").is_some()) {
        return Sizes::list(integers.iter().map(|integer| *integer as f64).collect());
    }
    let integer = attribute_int(node, "value_int")?;
    Sizes::new(vec![], vec![integer as f64], true)
}

fn binary(operator: &str, one: &Sizes, other: &Sizes) -> Option<Sizes> {
    let is_integer = one.is_integer && other.is_integer;
    let apply = |a: f64, b: f64| -> Option<f64> {
        Some(match operator {
            "Add" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            "Div" if is_integer => (b != 0.0).then(|| (a / b).trunc())?,
            "Div" => a / b,
            "Max" => a.max(b),
            "Min" => a.min(b),
            "Mod" if is_integer => (b != 0.0).then(|| a - b * (a / b).floor())?,
            "Equal" => f64::from(u8::from(a == b)),
            _ => return None,
        })
    };
    let (length, shape) = match (one.numbers.len(), other.numbers.len()) {
        (1, 1) if one.shape.len() >= other.shape.len() => (1, &one.shape),
        (1, length) => (length, &other.shape),
        (length, 1) => (length, &one.shape),
        (a, b) if a == b && one.shape == other.shape => (a, &one.shape),
        _ => return None,
    };
    let at = |sizes: &Sizes, place: usize| {
        sizes
            .numbers
            .get(if sizes.numbers.len() == 1 { 0 } else { place })
            .copied()
    };
    let numbers = (0..length).map(|place| apply(at(one, place)?, at(other, place)?));
    Sizes::new(shape.clone(), numbers.collect::<Option<Vec<f64>>>()?, is_integer)
}
