//! Splitting and quantizing weights, bit for bit against an independent implementation in numpy
//! (`fixtures/split_reference.py`, whose output is kept beside it).

use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use splitscope::network::{Layout, OutAxis};
use splitscope::quantization::{Bits, SplitKind, WeightSettings, plan_layer, split_channels, split_count};
use std::io::Cursor;

/// One case: a tensor, what to do with it, what numpy made of it.
struct Case<'a> {
    name: String,
    input: &'a [f32],
    layout: Layout,
    bits: u8,
    expand_ratio: f64,
    kind: SplitKind,
    count: usize,
    values: &'a [f32],
    q: &'a [i8],
    index: Vec<usize>,
    order: Vec<usize>,
    step: f32,
    threshold: f32,
}

/// Hands out one slice after another.
struct Cut<'a, T>(&'a [T]);

impl<'a, T> Cut<'a, T> {
    fn take(&mut self, count: usize) -> &'a [T] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }
}

fn indices(values: &[i64]) -> Vec<usize> {
    values.iter().map(|&value| usize::try_from(value).unwrap()).collect()
}

fn for_each_case(check: impl Fn(&Case)) {
    let mut file = NpzReader::new(Cursor::new(include_bytes!("../fixtures/split_reference.npz"))).unwrap();
    let shapes: Array2<i64> = file.by_name("shapes").unwrap();
    let cases: Array2<i64> = file.by_name("cases").unwrap();
    let inputs: Array1<f32> = file.by_name("inputs").unwrap();
    let values: Array1<f32> = file.by_name("values").unwrap();
    let q: Array1<i8> = file.by_name("q").unwrap();
    let index: Array1<i64> = file.by_name("index").unwrap();
    let order: Array1<i64> = file.by_name("order").unwrap();
    let step: Array1<f32> = file.by_name("step").unwrap();
    let threshold: Array1<f32> = file.by_name("threshold").unwrap();

    let mut inputs = Cut(inputs.as_slice().unwrap());
    let tensors: Vec<(Layout, &[f32])> = shapes
        .rows()
        .into_iter()
        .map(|row| {
            let sizes = indices(&row.to_vec());
            let out_axis = if sizes[4] == 1 { OutAxis::Inner } else { OutAxis::Outer };
            let layout = Layout {
                groups: sizes[0],
                outer: sizes[1],
                channels: sizes[2],
                inner: sizes[3],
                out_axis,
                out_run: 1,
            };
            (layout, inputs.take(layout.elements()))
        })
        .collect();
    let (mut values, mut q) = (Cut(values.as_slice().unwrap()), Cut(q.as_slice().unwrap()));
    let (mut index, mut order) = (Cut(index.as_slice().unwrap()), Cut(order.as_slice().unwrap()));
    for (number, row) in cases.rows().into_iter().enumerate() {
        let fields = indices(&row.to_vec());
        let (layout, input) = tensors[fields[0]];
        let count = fields[4];
        let expanded = Layout {
            channels: layout.channels + count,
            ..layout
        };
        check(&Case {
            name: format!(
                "tensor {}, {} bits, ratio {} ‰, kind {}",
                fields[0], fields[1], fields[2], fields[3]
            ),
            input,
            layout,
            bits: u8::try_from(fields[1]).unwrap(),
            expand_ratio: fields[2] as f64 / 1000.0,
            kind: [SplitKind::Naive, SplitKind::Qa][fields[3]],
            count,
            values: values.take(expanded.elements()),
            q: q.take(expanded.elements()),
            index: indices(index.take(expanded.in_channels())),
            order: indices(order.take(count * layout.groups)),
            step: step[number],
            threshold: threshold[number],
        });
    }
    assert!(values.0.is_empty() && q.0.is_empty() && index.0.is_empty() && order.0.is_empty());
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn split_weights_are_those_of_numpy_bit_for_bit() {
    for_each_case(|case| {
        assert_eq!(
            split_count(&case.layout, case.expand_ratio),
            case.count,
            "{}",
            case.name
        );
        let split = split_channels(case.input, &case.layout, case.count, case.kind, case.step);
        assert_eq!(split.order, case.order, "{}", case.name);
        assert_eq!(split.index, case.index, "{}", case.name);
        assert_eq!(bits(&split.values), bits(case.values), "{}", case.name);
    });
}

#[test]
fn quantized_layers_have_the_step_and_the_indices_of_numpy() {
    for_each_case(|case| {
        let settings = WeightSettings {
            bits: Bits::Grid(case.bits),
            expand_ratio: case.expand_ratio,
            split: case.kind,
            ..WeightSettings::default()
        };
        let layer = plan_layer(case.input, &case.layout, &settings);
        assert_eq!(layer.threshold.to_bits(), case.threshold.to_bits(), "{}", case.name);
        assert_eq!(layer.grid.step.to_bits(), case.step.to_bits(), "{}", case.name);
        assert_eq!(layer.splits, case.order, "{}", case.name);
        assert_eq!(layer.index, case.index, "{}", case.name);
        assert_eq!(layer.values, case.q, "{}", case.name);
    });
}
