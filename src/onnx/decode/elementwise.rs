//! Sums, products and means of quantized values, with the roundings of onnxruntime (MLAS), so that no code is another one where a
//! number lies between two grid points.
//!
//! With the ratios `r = scale / scale of the output` in f32: a sum is `fma(r_a, a, fma(r_b, b, z))` of the stored integers, where
//! `z = zero - fma(r_a, zero_a, r_b zero_b)`; a product `(a - zero_a)(b - zero_b) (scale_a scale_b / scale) + zero`; the mean of a
//! window `mean / scale + zero`; all are rounded half to even with the zero point in them. The mean of a whole map is
//! `sum (scale_x / (scale n))`, rounded before its zero point is added.

use super::Writer;
use crate::onnx::build::{i8_tensor, i32_tensor, i64_tensor, int_attribute, scalar_i8, scalar_u8, u8_tensor};
use crate::onnx::schema::data_type;
use crate::onnx::{AttributeProto, NodeProto, TensorProto, integer_range, numbers};

/// Codes of a byte.
const CODES: i32 = 256;

/// The grid of an operand: its scale, its zero point and the type of its codes.
#[derive(Clone, Copy)]
struct OperandGrid {
    scale: f32,
    zero: f32,
    kind: i32,
}

impl Writer<'_> {
    /// `QLinearAdd`: a table of the sums of all pairs of codes.
    pub(super) fn linear_sum(&mut self, old: &NodeProto) -> Option<()> {
        let (a, b) = (self.grid(old, 1)?, self.grid(old, 4)?);
        let to = self.grid(old, 6)?;
        if a.kind != to.kind || b.kind != to.kind {
            return None;
        }
        let y = old.output.first()?.clone();
        let least = integer_range(to.kind)?.0;
        let mut codes = Vec::with_capacity((CODES * CODES) as usize);
        for left in least..least + CODES {
            let sums = (least..least + CODES).map(|right| sum_of([a, b], [left, right], to));
            codes.extend(sums);
        }
        let table = self.names.fresh(&format!("{y}.sums"));
        let size = [codes.len()];
        self.made.push(if to.kind == data_type::INT8 {
            i8_tensor(
                table.clone(),
                &size,
                &codes.iter().map(|code| *code as i8).collect::<Vec<_>>(),
            )
        } else {
            u8_tensor(
                table.clone(),
                &size,
                &codes.iter().map(|code| *code as u8).collect::<Vec<_>>(),
            )
        });
        let integer = |writer: &mut Self, slot: usize, part: &str| {
            let made = writer.names.fresh(&format!("{y}.{part}"));
            let to = vec![int_attribute("to", i64::from(data_type::INT32))];
            writer.last("Cast", "", &[old.input.get(slot)?], &made, to);
            Some(made)
        };
        let (left, right) = (integer(self, 0, "left")?, integer(self, 3, "right")?);
        let codes = self.whole(&y, "codes", CODES);
        let first = self.whole(&y, "first", -least * (CODES + 1));
        let row = self.step("Mul", &[&left, &codes], &y, "row");
        let row = self.step("Add", &[&row, &first], &y, "row");
        let place = self.step("Add", &[&row, &right], &y, "place");
        self.last("Gather", old.name(), &[&table, &place], &y, vec![]);
        Some(())
    }

    /// `QLinearMul`.
    pub(super) fn linear_product(&mut self, old: &NodeProto) -> Option<()> {
        let (a, b, to) = (self.grid(old, 1)?, self.grid(old, 4)?, self.grid(old, 6)?);
        let y = old.output.first()?.clone();
        let left = self.steps_of(old, 0, &y)?;
        let right = self.steps_of(old, 3, &y)?;
        let product = self.step("Mul", &[&left, &right], &y, "product");
        let factor = self.scalar(&y, "factor", a.scale * b.scale / to.scale);
        let scaled = self.step("Mul", &[&product, &factor], &y, "scaled");
        self.with_zero(&scaled, to, old, &y);
        Some(())
    }

    /// `QLinearAveragePool`, of which `attributes` are those of the pool.
    pub(super) fn linear_pool(&mut self, old: &NodeProto, attributes: Vec<AttributeProto>) -> Option<()> {
        let to = self.grid(old, 3)?;
        let y = old.output.first()?.clone();
        let input = |slot: usize| old.input.get(slot).map_or("", String::as_str);
        let x = self.off([input(0), input(1), input(2)], &y, "off");
        let mean = self.names.fresh(&format!("{y}.mean"));
        self.last("AveragePool", "", &[&x], &mean, attributes);
        // The engine divides by a list as ONNX says, but multiplies by the reciprocal of a single number.
        let scale = self.scalar(&y, "scale", to.scale);
        let shape = self.step("Shape", &[&mean], &y, "shape");
        let (from, end) = (self.places(&y, "from", &[-1]), self.places(&y, "end", &[i64::MAX]));
        let row = self.step("Slice", &[&shape, &from, &end], &y, "row");
        let scales = self.step("Expand", &[&scale, &row], &y, "scales");
        let steps = self.step("Div", &[&mean, &scales], &y, "steps");
        self.with_zero(&steps, to, old, &y);
        Some(())
    }

    /// `QLinearGlobalAveragePool`.
    pub(super) fn linear_mean(&mut self, old: &NodeProto) -> Option<()> {
        let (from, to) = (self.grid(old, 1)?, self.grid(old, 3)?);
        let y = old.output.first()?.clone();
        let x = self.steps_of(old, 0, &y)?;
        let shape = self.step("Shape", &[&x], &y, "shape");
        let rank = self.step("Size", &[&shape], &y, "rank");
        let (two, one) = (self.place(&y, "two", 2), self.place(&y, "one", 1));
        let axes = self.step("Range", &[&two, &rank, &one], &y, "axes");
        let sum = self.step("ReduceSum", &[&x, &axes], &y, "sum");
        let sizes = self.step("Gather", &[&shape, &axes], &y, "sizes");
        let count = self.names.fresh(&format!("{y}.count"));
        self.last("ReduceProd", "", &[&sizes], &count, vec![int_attribute("keepdims", 0)]);
        let floats = self.names.fresh(&format!("{y}.floats"));
        let float = vec![int_attribute("to", i64::from(data_type::FLOAT))];
        self.last("Cast", "", &[&count], &floats, float);
        let scale = self.scalar(&y, "scale", to.scale);
        let divisor = self.step("Mul", &[&scale, &floats], &y, "divisor");
        // A true division: see above.
        let pair = self.places(&y, "pair", &[2]);
        let scale = self.constant(&y, "scales", &[2], &[from.scale; 2]);
        let divisors = self.step("Expand", &[&divisor, &pair], &y, "divisors");
        let factors = self.step("Div", &[&scale, &divisors], &y, "factors");
        let first = self.place(&y, "first", 0);
        let factor = self.step("Gather", &[&factors, &first], &y, "factor");
        let scaled = self.step("Mul", &[&sum, &factor], &y, "scaled");
        let unit = self.scalar(&y, "unit", 1.0);
        self.onto([&scaled, &unit, old.input.get(4).map_or("", String::as_str)], old, &y);
        Some(())
    }

    /// The grid whose scale is input `slot` of `old`, and whose zero point the one behind it; `None` where they are no single
    /// constants.
    fn grid(&self, old: &NodeProto, slot: usize) -> Option<OperandGrid> {
        let one = |slot: usize| -> Option<(&TensorProto, f32)> {
            let tensor = self.constants.find(old.input.get(slot)?)?;
            let values = numbers(tensor).ok()?;
            (values.len() == 1).then(|| (tensor, values[0]))
        };
        let (_, scale) = one(slot)?;
        let (zero, kind) = match old.input.get(slot + 1).filter(|name| !name.is_empty()) {
            Some(_) => one(slot + 1).map(|(tensor, zero)| (zero, tensor.data_type()))?,
            None => (0.0, data_type::UINT8),
        };
        let is_byte = kind == data_type::INT8 || kind == data_type::UINT8;
        is_byte.then_some(OperandGrid { scale, zero, kind })
    }

    /// The codes of input `slot` as numbers from its zero point, which is two inputs behind.
    fn steps_of(&mut self, old: &NodeProto, slot: usize, y: &str) -> Option<String> {
        let one = self.scalar(y, "one", 1.0);
        let zero = old.input.get(slot + 2).map_or("", String::as_str);
        Some(self.off([old.input.get(slot)?, &one, zero], y, "from_zero"))
    }

    /// Steps of the grid `to`, rounded with its zero point in them.
    fn with_zero(&mut self, steps: &str, to: OperandGrid, old: &NodeProto, y: &str) {
        let zero = self.scalar(y, "zero", to.zero);
        let moved = self.step("Add", &[steps, &zero], y, "moved");
        let (unit, none) = (self.scalar(y, "unit", 1.0), self.names.fresh(&format!("{y}.none")));
        self.made.push(if to.kind == data_type::INT8 {
            scalar_i8(none.clone(), 0)
        } else {
            scalar_u8(none.clone(), 0)
        });
        self.onto([&moved, &unit, &none], old, y);
    }

    /// A constant INT32 without axes.
    fn whole(&mut self, y: &str, part: &str, number: i32) -> String {
        let name = self.names.fresh(&format!("{y}.{part}"));
        self.made.push(i32_tensor(name.clone(), &[], &[number]));
        name
    }

    /// A constant INT64 without axes.
    fn place(&mut self, y: &str, part: &str, number: i64) -> String {
        let name = self.names.fresh(&format!("{y}.{part}"));
        self.made.push(i64_tensor(name.clone(), &[], &[number]));
        name
    }

    /// A constant list of INT64.
    fn places(&mut self, y: &str, part: &str, numbers: &[i64]) -> String {
        let name = self.names.fresh(&format!("{y}.{part}"));
        self.made.push(i64_tensor(name.clone(), &[numbers.len()], numbers));
        name
    }
}

/// The code of the sum of two codes.
fn sum_of([a, b]: [OperandGrid; 2], [left, right]: [i32; 2], to: OperandGrid) -> i32 {
    let (of_a, of_b) = (a.scale / to.scale, b.scale / to.scale);
    let fixed = to.zero - of_a.mul_add(a.zero, of_b * b.zero);
    let sum = of_a.mul_add(left as f32, of_b.mul_add(right as f32, fixed));
    let (low, high) = if to.kind == data_type::INT8 {
        (-128.0, 127.0)
    } else {
        (0.0, 255.0)
    };
    sum.round_ties_even().clamp(low, high) as i32
}
