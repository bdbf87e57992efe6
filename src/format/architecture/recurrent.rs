//! Networks of LSTM and GRU layers as torch's modules name them, with an embedding before and a matrix behind: language models.
//! torch keeps the gates of an LSTM as i, f, g, o and ONNX as i, o, f, c; of a GRU as r, z, n and as z, r, h: the rows are
//! put in that order once, in constants that take the place of the file's.

use super::Family;
use super::derived::{Derived, Rows};
use super::misfit::Fault;
use super::net::{Axis, Net, Output, as_i64};
use super::transformer::Sequence;
use crate::onnx::build::{i64_tensor, int_attribute, string_attribute};
use crate::onnx::schema::data_type;

pub(super) const FAMILY: Family = Family {
    name: "recurrent network",
    build,
};

/// Names of the embedding's and of the last matrix's module.
const EMBEDDINGS: [&str; 8] = [
    "encoder",
    "embedding",
    "embeddings",
    "embed",
    "emb",
    "word_embeddings",
    "token_embedding",
    "wte",
];
const DECODERS: [&str; 9] = [
    "decoder",
    "fc",
    "linear",
    "out",
    "output",
    "head",
    "proj",
    "classifier",
    "lm_head",
];
/// Modules with ONNX's tensors W, R and B for each layer.
const NUMBERED: [&str; 3] = ["lstm", "gru", "rnn"];
const FIRST_WEIGHT: &str = "weight_ih_l0";

/// Which cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    operator: &'static str,
    /// For each gate in ONNX's order, its place in torch's.
    order: &'static [usize],
}

const LSTM: Cell = Cell {
    operator: "LSTM",
    order: &[0, 3, 1, 2],
};
const GRU: Cell = Cell {
    operator: "GRU",
    order: &[1, 0, 2],
};

fn build(net: &mut Net<'_>) -> Output {
    let embedding = EMBEDDINGS.into_iter().find(|module| {
        net.dict
            .shape(&format!("{module}.weight"))
            .is_some_and(|shape| shape.len() == 2)
    });
    let mut x = read(net, embedding);
    let (cell, layers);
    (x, cell, layers) = match torch_module(net) {
        Some(module) => torch_layers(net, x, &module),
        None => numbered_layers(net, x),
    };
    let decoder = DECODERS.into_iter().find(|module| net.dict.has(module));
    let model = match (embedding, decoder) {
        (Some(_), Some(_)) => " language model",
        _ => "",
    };
    net.call(format!("{}{model} {layers}x{}", cell.operator, x.width));
    let Some(decoder) = decoder else {
        net.answer("hidden");
        return steps(x);
    };
    steps(decode(net, &x, decoder, embedding))
}

/// As what the network gives: steps first, as torch's modules have it.
fn steps(x: Sequence) -> Output {
    Output {
        axes: vec![Axis::Free("seq"), Axis::Free("batch"), Axis::Size(x.width)],
        value: x.value,
    }
}

/// Tokens that are looked up or, without an embedding, numbers.
fn read(net: &mut Net<'_>, embedding: Option<&str>) -> Sequence {
    let [steps, batch] = [Axis::Free("seq"), Axis::Free("batch")];
    let Some(module) = embedding else {
        let first = torch_module(net).map_or_else(
            || {
                NUMBERED
                    .into_iter()
                    .map(|module| format!("{module}.0.W"))
                    .find(|name| net.dict.has(name))
            },
            |module| Some(join(&module, FIRST_WEIGHT)),
        );
        let width = first.and_then(|name| net.dict.size(&name, 1)).unwrap_or(1);
        return Sequence {
            value: net.input("input", data_type::FLOAT, &[steps, batch, Axis::Size(width)]),
            width,
        };
    };
    let table = net.parameter(&format!("{module}.weight"), &[None, None]);
    let tokens = net.input("tokens", data_type::INT64, &[steps, batch]);
    Sequence {
        value: net.node("Gather", module, [table.value, tokens], vec![int_attribute("axis", 0)]),
        width: table.shape[1],
    }
}

/// The only module with torch's tensors; its name may be empty.
fn torch_module(net: &Net<'_>) -> Option<String> {
    let mut found = net.dict.names().filter_map(|name| {
        let module = name.strip_suffix(FIRST_WEIGHT)?;
        (module.is_empty() || module.ends_with('.')).then(|| module.trim_end_matches('.').to_owned())
    });
    let module = found.next()?;
    found.next().is_none().then_some(module)
}

fn join(module: &str, part: &str) -> String {
    if module.is_empty() {
        part.to_owned()
    } else {
        format!("{module}.{part}")
    }
}

fn torch_layers(net: &mut Net<'_>, mut x: Sequence, module: &str) -> (Sequence, Cell, usize) {
    let first = join(module, FIRST_WEIGHT);
    let rows = net.dict.size(&first, 0).unwrap_or(4);
    let hidden = net.dict.size(&join(module, "weight_hh_l0"), 1).unwrap_or(1).max(1);
    let cell = match rows / hidden {
        4 => LSTM,
        3 => GRU,
        gates => {
            let reason = format!("has {gates} gates of {hidden} units: an LSTM has 4, a GRU 3");
            net.fail(&first, Fault::Other(reason));
            LSTM
        }
    };
    let part = |layer: usize, part: &str, way: &str| join(module, &format!("{part}_l{layer}{way}"));
    let layers = (0..)
        .take_while(|layer| net.dict.has(&part(*layer, "weight_ih", "")))
        .count()
        .max(1);
    for layer in 0..layers {
        let backwards = net.dict.has(&part(layer, "weight_ih", "_reverse"));
        let ways: &[&str] = if backwards { &["", "_reverse"] } else { &[""] };
        let (mut input, mut recurrent, mut bias) = (Vec::new(), Vec::new(), Vec::new());
        let with_bias = net.dict.has(&part(layer, "bias_ih", ""));
        for way in ways {
            let shape = [Some(cell.order.len() * hidden), Some(x.width)];
            input.extend(turned(net, &part(layer, "weight_ih", way), &shape, cell, hidden));
            let shape = [shape[0], Some(hidden)];
            recurrent.extend(turned(net, &part(layer, "weight_hh", way), &shape, cell, hidden));
            for side in ["bias_ih", "bias_hh"].into_iter().filter(|_| with_bias) {
                bias.extend(turned(net, &part(layer, side, way), &shape[..1], cell, hidden));
            }
        }
        let tensors = [input, recurrent, bias];
        x = add_layer(
            net,
            &x,
            &join(module, &format!("l{layer}")),
            cell,
            tensors,
            [ways.len(), hidden],
        );
    }
    (x, cell, layers)
}

/// The rows of the tensor `name` in ONNX's order of the gates.
fn turned(net: &mut Net<'_>, name: &str, shape: &[Option<usize>], cell: Cell, hidden: usize) -> Vec<Rows> {
    net.expect(name, shape);
    let gate = |place: &usize| Rows {
        tensor: name.to_owned(),
        rows: place * hidden..(place + 1) * hidden,
    };
    cell.order.iter().map(gate).collect()
}

/// Layers whose tensors W, R and B are as ONNX has them, but for the axis of the directions.
fn numbered_layers(net: &mut Net<'_>, mut x: Sequence) -> (Sequence, Cell, usize) {
    let module = NUMBERED
        .into_iter()
        .find(|module| net.dict.has(&format!("{module}.0.W")))
        .unwrap_or(NUMBERED[0]);
    let hidden = net.dict.size(&format!("{module}.0.R"), 1).unwrap_or(1).max(1);
    let cell = match net.dict.size(&format!("{module}.0.R"), 0).map(|rows| rows / hidden) {
        Some(3) => GRU,
        _ => LSTM,
    };
    let layers = net.dict.count(module).max(1);
    for layer in 0..layers {
        let name = |part: &str| format!("{module}.{layer}.{part}");
        let rows = cell.order.len() * hidden;
        let [input, recurrent] = [(Some(x.width), "W"), (Some(hidden), "R")].map(|(columns, part)| {
            net.expect(&name(part), &[Some(rows), columns]);
            vec![Rows {
                tensor: name(part),
                rows: 0..rows,
            }]
        });
        let mut bias = Vec::new();
        if net.dict.has(&name("B")) {
            net.expect(&name("B"), &[Some(2 * rows)]);
            bias.push(Rows {
                tensor: name("B"),
                rows: 0..2 * rows,
            });
        }
        x = add_layer(
            net,
            &x,
            &format!("{module}.{layer}"),
            cell,
            [input, recurrent, bias],
            [1, hidden],
        );
    }
    let gates = if cell == LSTM { "i, o, f, c" } else { "z, r, h" };
    net.note(format!(
        "the gates of {module}.0.W and the like are taken to be in ONNX's order {gates}, as their names are ONNX's"
    ));
    (x, cell, layers)
}

/// The operator around weights, recurrent weights and (perhaps no) biases.
fn add_layer(
    net: &mut Net<'_>,
    x: &Sequence,
    name: &str,
    cell: Cell,
    [input, recurrent, bias]: [Vec<Rows>; 3],
    [ways, hidden]: [usize; 2],
) -> Sequence {
    let rows = cell.order.len() * hidden;
    let mut inputs = vec![x.value.clone()];
    let parts = [
        ("W", input, vec![ways, rows, x.width]),
        ("R", recurrent, vec![ways, rows, hidden]),
        ("B", bias, vec![ways, 2 * rows]),
    ];
    for (part, rows, shape) in parts {
        if !rows.is_empty() {
            inputs.push(net.derive(Derived {
                name: format!("{name}.{part}"),
                shape,
                rows,
            }));
        }
    }
    let mut attributes = vec![int_attribute("hidden_size", as_i64(hidden))];
    if ways == 2 {
        attributes.push(string_attribute("direction", "bidirectional"));
    }
    if cell == GRU {
        // torch's GRU adds the bias of the hidden state before the gate closes on it.
        attributes.push(int_attribute("linear_before_reset", 1));
    }
    let every = net.node(cell.operator, name, inputs, attributes);
    let value = if ways == 1 {
        let axis = net.constant(i64_tensor(format!("{name}.direction_axis"), &[1], &[1]));
        net.node("Squeeze", &format!("{name}.squeeze"), [every, axis], vec![])
    } else {
        let turned = net.transpose(&every, &format!("{name}.by_sample"), &[0, 2, 1, 3]);
        let width = as_i64(ways * hidden);
        net.reshape(&turned, &format!("{name}.both_ways"), &[0, 0, width])
    };
    Sequence {
        value,
        width: ways * hidden,
    }
}

/// The last matrix: as torch keeps it, the other way round, or the embedding's where the file leaves it out.
fn decode(net: &mut Net<'_>, x: &Sequence, module: &str, embedding: Option<&str>) -> Sequence {
    let (weight, bias) = (format!("{module}.weight"), format!("{module}.bias"));
    let outputs = net.dict.size(&bias, 0);
    let bias = outputs.map(|_| bias.as_str());
    let shape = net.dict.shape(&weight).map(<[usize]>::to_vec);
    match (shape.as_deref(), embedding) {
        (None, Some(embedding)) => {
            net.note(format!(
                "'{weight}' is not in the file: the weights of '{embedding}' are taken for it"
            ));
            net.project_by(x, module, &format!("{embedding}.weight"), bias)
        }
        (Some(&[rows, columns]), _)
            if rows == x.width && columns != x.width && outputs.is_none_or(|o| o == columns) =>
        {
            let matrix = net.parameter(&weight, &[Some(x.width), Some(columns)]);
            let mut value = net.node("MatMul", module, [x.value.clone(), matrix.value], vec![]);
            if let Some(bias) = bias {
                let bias = net.parameter(bias, &[Some(columns)]).value;
                value = net.sum(&value, &bias, &format!("{module}.plus_bias"));
            }
            Sequence { value, width: columns }
        }
        _ => net.project_by(x, module, &weight, bias),
    }
}
