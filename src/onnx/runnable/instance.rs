//! `InstanceNormalization` as onnxruntime computes it. The engine (rten 0.27) takes the mean off each value; onnxruntime multiplies
//! the values as they are and adds `bias - mean * factor`. Where the mean is large against the deviation, both are as far from
//! the exact value, but elsewhere: each by what the last bit of the mean is worth, which depends on the order of the sum too.

use super::super::build::{attribute_float, int_attribute};
use super::super::schema::data_type;
use super::quantize::divided;
use super::site::{Ruled, Site};

/// Values that onnxruntime adds at once on x86-64: a packet of four, at an address that is a multiple of its size.
const PACKET: i64 = 4;
/// Packets are added in two sums in turn.
const TURN: i64 = 2 * PACKET;

/// `y = x * factor + (bias - mean * factor)` with `factor = scale / sqrt(variance + epsilon)` (ONNX operator InstanceNormalization;
/// onnxruntime's `instance_norm.cc`), the values of a channel added in the order of that program. Where the number of values is not
/// known before the run, every channel counts as beginning at a packet.
pub(super) fn instance(site: &mut Site<'_>) -> Ruled {
    let (x, scale, bias) = (site.needed(0)?, site.needed(1)?, site.needed(2)?);
    let epsilon = attribute_float(site.node(), "epsilon").unwrap_or(1e-5);
    let sizes = site.shape(0).and_then(|shape| shape.get(2..));
    let known = sizes.and_then(|sizes| sizes.iter().try_fold(1_i64, |all, size| all.checked_mul((*size)?)));
    if known == Some(0) {
        return Err("its channels have no values".into());
    }
    let by_channel = site.ints("by_channel", &[0, 0, -1]);
    let rows = site.op("Reshape", &[x, &by_channel]);
    let length = match known {
        Some(size) => Length::Known(size),
        None => Length::free(site, &rows),
    };
    let count = match &length {
        Length::Known(size) => site.float("count", *size as f32),
        Length::Free { count, .. } => {
            let to = vec![int_attribute("to", i64::from(data_type::FLOAT))];
            site.op_with("Cast", &[count], to)
        }
    };

    let sum = match length {
        Length::Known(size) if size % PACKET != 0 => row_sums_from_anywhere(site, &rows, size),
        _ => row_sums(site, &rows, &length, 0),
    };
    let mean = quotient(site, &sum, &count);
    let centred = site.op("Sub", &[&rows, &mean]);
    let squares = site.op("Mul", &[&centred, &centred]);
    // These are never in memory there, so that their packets begin with the first.
    let squares = row_sums(site, &squares, &length, 0);
    let variance = quotient(site, &squares, &count);

    let epsilon = site.float("epsilon", epsilon);
    let variance = site.op("Add", &[&variance, &epsilon]);
    let deviation = site.op("Sqrt", &[&variance]);
    let inverse = site.op("Reciprocal", &[&deviation]);
    let last = site.ints("last", &[-1]);
    let [scale, bias] = [scale, bias].map(|value| site.op("Unsqueeze", &[value, &last]));
    let factor = site.op("Mul", &[&inverse, &scale]);
    let shift = site.op("Mul", &[&mean, &factor]);
    let shift = site.op("Sub", &[&bias, &shift]);
    let scaled = site.op("Mul", &[&rows, &factor]);
    let shifted = site.op("Add", &[&scaled, &shift]);
    let shape = site.op("Shape", &[x]);
    site.end("Reshape", &[&shifted, &shape])
}

/// How many values each channel has.
enum Length {
    Known(i64),
    /// Names of values of one integer each.
    Free {
        count: String,
        /// Whole turns of packets, in values.
        turns: String,
        /// Whole packets, in values.
        packets: String,
    },
}

impl Length {
    fn free(site: &mut Site<'_>, rows: &str) -> Self {
        let shape = site.op("Shape", &[rows]);
        let (from, to) = (site.ints("from", &[2]), site.ints("to", &[3]));
        let count = site.op("Slice", &[&shape, &from, &to]);
        let [turns, packets] = [TURN, PACKET].map(|size| {
            let size = site.ints("size", &[size]);
            let whole = site.op("Div", &[&count, &size]);
            site.op("Mul", &[&whole, &size])
        });
        Self::Free { count, turns, packets }
    }
}

/// The sums `[n, channels, 1]` of the rows of `values`, `[n, channels, size]`, the first packet of which begins at `head`: packets in
/// turns, the one that is left over, the lanes of the packet, then what lies before and behind the packets.
fn row_sums(site: &mut Site<'_>, values: &str, length: &Length, head: i64) -> String {
    let mut terms = Vec::new();
    match length {
        Length::Known(size) => {
            let (turns, packets) = ((size - head) / TURN * TURN, (size - head) / PACKET * PACKET);
            let mut packet = (turns > 0).then(|| {
                let whole = turns == *size;
                let values = if whole {
                    values.to_owned()
                } else {
                    between(site, values, head, head + turns)
                };
                packets_in_turns(site, &values)
            });
            if packets > turns {
                let left_over = between(site, values, head + turns, head + packets);
                packet = Some(match packet {
                    Some(packet) => site.op("Add", &[&packet, &left_over]),
                    None => left_over,
                });
            }
            let single = if packet.is_some() {
                (0..head).chain(head + packets..*size)
            } else {
                (0..*size).chain(0..0)
            };
            terms.extend(packet.map(|packet| lanes(site, &packet)));
            terms.extend(single.map(|at| between(site, values, at, at + 1)).collect::<Vec<_>>());
        }
        Length::Free { turns, packets, .. } => {
            // Zeros change no sum, and are there where there is no packet.
            let pads = site.ints("pads", &[0, 0, TURN, 0, 0, TURN]);
            let values = site.op("Pad", &[values, &pads]);
            let at = |site: &mut Site<'_>, place: &str, by: i64| {
                let by = site.ints("by", &[by]);
                site.op("Add", &[place, &by])
            };
            let (begin, end) = (site.ints("begin", &[0]), at(site, turns, TURN));
            let in_turns = part(site, &values, &begin, &end);
            let packet = packets_in_turns(site, &in_turns);
            let behind = at(site, turns, TURN + PACKET);
            let left_over = part(site, &values, &end, &behind);
            // Behind whole turns there may be a packet or only single values.
            let is_there = site.op("Greater", &[packets, turns]);
            let nothing = site.float("nothing", 0.0);
            let left_over = site.op("Where", &[&is_there, &left_over, &nothing]);
            let packet = site.op("Add", &[&packet, &left_over]);
            terms.push(lanes(site, &packet));
            for single in 0..PACKET - 1 {
                let (from, to) = (at(site, packets, TURN + single), at(site, packets, TURN + single + 1));
                terms.push(part(site, &values, &from, &to));
            }
        }
    }
    terms
        .into_iter()
        .reduce(|sum, term| site.op("Add", &[&sum, &term]))
        .unwrap_or_default()
}

/// [`row_sums`] of rows of `size` values, no multiple of a packet, so that a row begins within a packet: by where it begins.
fn row_sums_from_anywhere(site: &mut Site<'_>, rows: &str, size: i64) -> String {
    let step = size % PACKET;
    let first = between(site, rows, 0, 1);
    let shape = site.op("Shape", &[&first]);
    let (one, flat) = (site.int("one", 1), site.ints("flat", &[-1]));
    let ones = site.op("Expand", &[&one, &shape]);
    let ones = site.op("Reshape", &[&ones, &flat]);
    let along = site.int("along", 0);
    let numbers = site.op("CumSum", &[&ones, &along]);
    let rows_before = site.op("Sub", &[&numbers, &one]);
    let (by, packet) = (site.int("step", step), site.int("packet", PACKET));
    let values_before = site.op("Mul", &[&rows_before, &by]);
    let within = site.op("Mod", &[&values_before, &packet]);
    let within = site.op("Reshape", &[&within, &shape]);
    let mut sums = row_sums(site, rows, &Length::Known(size), 0);
    for place in 1..PACKET {
        if step == 2 && place != 2 {
            continue;
        }
        let other = row_sums(site, rows, &Length::Known(size), (PACKET - place).min(size));
        let place = site.int("place", place);
        let is_there = site.op("Equal", &[&within, &place]);
        sums = site.op("Where", &[&is_there, &other, &sums]);
    }
    sums
}

/// `[n, channels, 4]` from whole turns `[n, channels, 8 * k]`: every second packet in one sum, the others in another, then both.
fn packets_in_turns(site: &mut Site<'_>, values: &str) -> String {
    let turns = site.ints("turns", &[0, 0, -1, TURN / PACKET, PACKET]);
    let turns = site.op("Reshape", &[values, &turns]);
    // A running sum is the one whose order is known.
    let along = site.int("along", 2);
    let sums = site.op("CumSum", &[&turns, &along]);
    let last = pick(site, &sums, -1);
    let [one, other] = [0, 1].map(|at| pick(site, &last, at));
    site.op("Add", &[&one, &other])
}

/// `[n, channels, 1]` from a packet `[n, channels, 4]`: `(v0 + v2) + (v1 + v3)`.
fn lanes(site: &mut Site<'_>, packet: &str) -> String {
    let halves = [(0, 2), (2, 4)].map(|(from, to)| between(site, packet, from, to));
    let pair = site.op("Add", &[&halves[0], &halves[1]]);
    let lanes = [0, 1].map(|at| between(site, &pair, at, at + 1));
    site.op("Add", &[&lanes[0], &lanes[1]])
}

/// `sums / count`, of sums `[n, channels, 1]`: two of each, because the engine does not divide by a single number.
fn quotient(site: &mut Site<'_>, sums: &str, count: &str) -> String {
    let pairs = site.op_with("Concat", &[sums, sums], vec![int_attribute("axis", 2)]);
    let quotients = divided(site, &pairs, count);
    between(site, &quotients, 0, 1)
}

/// The element `at` of axis 2.
fn pick(site: &mut Site<'_>, values: &str, at: i64) -> String {
    let at = site.int("at", at);
    site.op_with("Gather", &[values, &at], vec![int_attribute("axis", 2)])
}

/// The elements `from..to` of axis 2.
fn between(site: &mut Site<'_>, values: &str, from: i64, to: i64) -> String {
    let (from, to) = (site.ints("from", &[from]), site.ints("to", &[to]));
    part(site, values, &from, &to)
}

/// [`between`], of places that are values.
fn part(site: &mut Site<'_>, values: &str, from: &str, to: &str) -> String {
    let axes = site.ints("axes", &[2]);
    site.op("Slice", &[values, from, to, &axes])
}
