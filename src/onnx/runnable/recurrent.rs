//! `LSTM` and `GRU` whose sequences end at their own lengths, or that have the batch first: the engine (rten 0.27) ignores the
//! lengths and refuses the layout.
//!
//! A backward pass is a forward one over each sequence reversed. Behind the end of a sequence outputs are 0, and the last
//! state is the one at the end: the outputs there, found by a mask. The cell of an LSTM has no output in each step; it is kept by
//! one more input that is 0 inside a sequence and 1 behind it, where it closes the input gate and opens the forget gate.

use super::super::build::{
    attribute_int, attribute_string, float_tensor, int_attribute, ints_attribute, string_attribute,
};
use super::super::schema::data_type;
use super::super::unfit::Unfit;
use super::pads::with_attributes;
use super::site::{Outcome, Ruled, Site};

/// Slots of the operators' inputs.
const X: usize = 0;
const W: usize = 1;
const R: usize = 2;
const B: usize = 3;
const LENGTHS: usize = 4;
const INITIAL_HIDDEN: usize = 5;
const INITIAL_CELL: usize = 6;
const PEEPHOLES: usize = 7;

/// What saturates a gate: its sigmoid is exactly 0 or 1.
const CLOSED: f32 = -1e4;

pub(super) fn recurrent(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    if node.op_type() == "GRU" && attribute_int(node, "linear_before_reset").unwrap_or(0) == 0 {
        return Err("linear_before_reset = 0 is not computed".into());
    }
    if site.input(PEEPHOLES).is_some() {
        return Err("peephole weights are not computed".into());
    }
    let batch_first = attribute_int(node, "layout").unwrap_or(0) != 0;
    if site.input(LENGTHS).is_none() && !batch_first {
        return Ok(Outcome::Kept);
    }
    let cell = Recurrent::of(site, batch_first)?;
    if site.input(LENGTHS).is_none() {
        let outputs = cell.whole(site);
        return finish(site, &outputs, batch_first);
    }
    let outputs = cell.with_lengths(site)?;
    finish(site, &outputs, batch_first)
}

/// The inputs, with the steps first.
struct Recurrent {
    x: String,
    hidden: Option<String>,
    cell: Option<String>,
    directions: Vec<bool>,
    is_lstm: bool,
}

/// Outputs in the order of the operator: all steps, last hidden state, last cell.
type Outputs = [Option<String>; 3];

impl Recurrent {
    fn of(site: &mut Site<'_>, batch_first: bool) -> Result<Self, Unfit> {
        let turned = |site: &mut Site<'_>, slot: usize| {
            let value = site.input(slot)?.to_owned();
            let perm = vec![ints_attribute("perm", [1, 0, 2])];
            Some(if batch_first {
                site.op_with("Transpose", &[&value], perm)
            } else {
                value
            })
        };
        let directions = match attribute_string(site.node(), "direction").unwrap_or("forward") {
            "forward" => vec![false],
            "reverse" => vec![true],
            "bidirectional" => vec![false, true],
            other => {
                return Err(Unfit::UnknownValue {
                    attribute: "direction",
                    value: other.to_owned(),
                });
            }
        };
        Ok(Self {
            x: turned(site, X).ok_or(Unfit::NoInput(0))?,
            hidden: turned(site, INITIAL_HIDDEN),
            cell: turned(site, INITIAL_CELL),
            directions,
            is_lstm: site.node().op_type() == "LSTM",
        })
    }

    /// The operator itself, all steps of all sequences.
    fn whole(&self, site: &mut Site<'_>) -> Outputs {
        let node = site.node();
        let name = |slot: usize| site.input(slot).unwrap_or_default().to_owned();
        let (w, r, b) = (name(W), name(R), name(B));
        let (hidden, cell) = (
            self.hidden.clone().unwrap_or_default(),
            self.cell.clone().unwrap_or_default(),
        );
        let attributes = with_attributes(node, &["layout"], vec![]).attribute;
        let inputs = [self.x.as_str(), &w, &r, &b, "", &hidden, &cell];
        self.run(site, &inputs, attributes)
    }

    fn run(&self, site: &mut Site<'_>, inputs: &[&str; 7], attributes: Vec<super::super::AttributeProto>) -> Outputs {
        let (inputs, count) = if self.is_lstm {
            (&inputs[..], 3)
        } else {
            (&inputs[..6], 2)
        };
        let operator = site.node().op_type();
        let mut outputs = site.op_of(operator, inputs, attributes, count).into_iter();
        [outputs.next(), outputs.next(), outputs.next()]
    }

    /// Each direction by itself, up to the lengths.
    fn with_lengths(&self, site: &mut Site<'_>) -> Result<Outputs, Unfit> {
        let lengths = site.needed(LENGTHS)?.to_owned();
        let masks = Masks::of(site, &self.x, &lengths);
        let wants_cell = self.is_lstm && site.has_output(2);
        let x = if wants_cell {
            // [steps, batch, 1], joined as a last input.
            let axes = site.ints("axes", &[-1]);
            let outside = site.op("Unsqueeze", &[&masks.outside, &axes]);
            site.op_with("Concat", &[&self.x, &outside], vec![int_attribute("axis", -1)])
        } else {
            self.x.clone()
        };
        let mut joined: [Vec<String>; 3] = Default::default();
        for (direction, backward) in self.directions.iter().enumerate() {
            let outputs = self.one_way(site, &x, &lengths, &masks, direction, *backward, wants_cell)?;
            for (joined, output) in joined.iter_mut().zip(outputs) {
                joined.extend(output);
            }
        }
        let mut join = |parts: &[String], axis: i64| match parts {
            [] => None,
            [one] => Some(one.clone()),
            parts => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                Some(site.op_with("Concat", &parts, vec![int_attribute("axis", axis)]))
            }
        };
        Ok([join(&joined[0], 1), join(&joined[1], 0), join(&joined[2], 0)])
    }

    #[expect(clippy::too_many_arguments, reason = "all of what one direction is")]
    fn one_way(
        &self,
        site: &mut Site<'_>,
        x: &str,
        lengths: &str,
        masks: &Masks,
        direction: usize,
        backward: bool,
        wants_cell: bool,
    ) -> Result<Outputs, Unfit> {
        let several = self.directions.len() > 1;
        let part = |site: &mut Site<'_>, value: Option<&str>| {
            let Some(value) = value else { return String::new() };
            if !several {
                return value.to_owned();
            }
            let start = i64::try_from(direction).unwrap_or_default();
            let (from, to) = (site.ints("direction", &[start]), site.ints("behind", &[start + 1]));
            let first = site.ints("axis", &[0]);
            site.op("Slice", &[value, &from, &to, &first])
        };
        let (w, r, b) = (site.input(W), site.input(R), site.input(B));
        let (w, r, b) = (part(site, w), part(site, r), part(site, b));
        let (hidden, cell) = (part(site, self.hidden.as_deref()), part(site, self.cell.as_deref()));
        let w = if wants_cell { closing(site, &w)? } else { w };
        let reversed = |site: &mut Site<'_>, value: &str| {
            let axes = vec![int_attribute("time_axis", 0), int_attribute("batch_axis", 1)];
            site.op_with("ReverseSequence", &[value, lengths], axes)
        };
        let x = if backward { reversed(site, x) } else { x.to_owned() };
        let attributes = with_attributes(
            site.node(),
            &["layout", "direction"],
            vec![string_attribute("direction", "forward")],
        )
        .attribute;
        let [steps, _, last_cell] = self.run(site, &[&x, &w, &r, &b, "", &hidden, &cell], attributes);
        let steps = steps.unwrap_or_default();
        // [steps, 1, batch, hidden]
        let last = site.op("Mul", &[&steps, &masks.last]);
        let first = site.ints("axis", &[0]);
        let last = site.op_with("ReduceSum", &[&last, &first], vec![int_attribute("keepdims", 0)]);
        let steps = site.op("Mul", &[&steps, &masks.inside]);
        let steps = if backward {
            let one = site.ints("axis", &[1]);
            let plain = site.op("Squeeze", &[&steps, &one]);
            let turned = reversed(site, &plain);
            site.op("Unsqueeze", &[&turned, &one])
        } else {
            steps
        };
        // Of no steps at all there is no cell either.
        let last_cell = last_cell
            .filter(|_| wants_cell)
            .map(|cell| site.op("Mul", &[&cell, &masks.any]));
        Ok([Some(steps), Some(last), last_cell])
    }
}

/// The input weights `[1, 4 hidden, input]` with one more input, which closes the input gate and opens the forget gate. The
/// gates stand in the order input, output, forget, cell.
fn closing(site: &mut Site<'_>, w: &str) -> Result<String, Unfit> {
    let hidden = attribute_int(site.node(), "hidden_size")
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| (1..=1 << 24).contains(size))
        .ok_or(Unfit::NoAttribute("hidden_size"))?;
    let gates = [CLOSED, 0.0, -CLOSED, 0.0];
    let column: Vec<f32> = gates
        .iter()
        .flat_map(|gate| std::iter::repeat_n(*gate, hidden))
        .collect();
    let column = site.tensor("closing", float_tensor("", &[1, 4 * hidden, 1], &column));
    Ok(site.op_with("Concat", &[w, &column], vec![int_attribute("axis", -1)]))
}

/// 1 where a step is what the name says, else 0.
struct Masks {
    /// `[steps, 1, batch, 1]`.
    inside: String,
    /// `[steps, 1, batch, 1]`: the last step of its sequence.
    last: String,
    /// `[steps, batch]`.
    outside: String,
    /// `[batch, 1]`: a sequence of one step at least.
    any: String,
}

impl Masks {
    fn of(site: &mut Site<'_>, x: &str, lengths: &str) -> Self {
        let shape = site.op("Shape", &[x]);
        let (zero, one) = (site.int("zero", 0), site.int("one", 1));
        let steps = site.op("Gather", &[&shape, &zero]);
        let number = site.op("Range", &[&zero, &steps, &one]);
        let column = site.ints("axes", &[1]);
        let number = site.op("Unsqueeze", &[&number, &column]);
        let to = |element_type: i32| vec![int_attribute("to", i64::from(element_type))];
        let lengths = site.op_with("Cast", &[lengths], to(data_type::INT64));
        let number_of_last = site.op("Sub", &[&lengths, &one]);
        let mut mask = |comparison: &str, lengths: &str| {
            let mask = site.op(comparison, &[&number, lengths]);
            site.op_with("Cast", &[&mask], to(data_type::FLOAT))
        };
        let (inside, last) = (mask("Less", &lengths), mask("Equal", &number_of_last));
        let outside = mask("GreaterOrEqual", &lengths);
        let any = site.op("Greater", &[&lengths, &zero]);
        let any = site.op_with("Cast", &[&any], to(data_type::FLOAT));
        let any = site.op("Unsqueeze", &[&any, &column]);
        let axes = site.ints("axes", &[1, 3]);
        Self {
            any,
            inside: site.op("Unsqueeze", &[&inside, &axes]),
            last: site.op("Unsqueeze", &[&last, &axes]),
            outside,
        }
    }
}

/// The outputs under their old names, with the batch first if they had it so.
fn finish(site: &mut Site<'_>, outputs: &Outputs, batch_first: bool) -> Ruled {
    for (slot, value) in outputs.iter().enumerate() {
        let Some(value) = value.as_deref().filter(|_| site.has_output(slot)) else {
            continue;
        };
        if !batch_first {
            site.output(slot, "Identity", &[value], vec![])?;
            continue;
        }
        // [steps, directions, batch, hidden], or a state.
        let perm: Vec<i64> = if slot == 0 { vec![2, 0, 1, 3] } else { vec![1, 0, 2] };
        site.output(slot, "Transpose", &[value], vec![ints_attribute("perm", perm)])?;
    }
    Ok(Outcome::Replaced)
}
