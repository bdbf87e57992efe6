//! One network with its inputs and the outputs that are right, and what the engine makes of it.

use prost::Message as _;
use splitscope::data::{Tensor, TensorValues};
use splitscope::engine::{Engine as _, Rten};
use splitscope::network::{Shapes, shapes};
use splitscope::onnx::schema::{data_type, type_proto};
use splitscope::onnx::{GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_bytes};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// A network, its inputs, and the outputs that are right.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: Vec<u8>,
    pub(crate) inputs: Vec<TensorProto>,
    pub(crate) outputs: Vec<TensorProto>,
}

/// What came of a case.
pub(crate) enum Verdict {
    Right,
    /// The engine says that it cannot.
    Refused(String),
    /// It computes something else.
    Differs(String),
}

impl Case {
    /// The cases of a `.tar.gz` whose folders, below `root`, hold a `model.onnx` and `test_data_set_N/{input,output}_N.pb`, as
    /// the backend tests of ONNX do. In the order of their names.
    pub(crate) fn read_all(archive: &Path, root: &str) -> Vec<Self> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(archive).unwrap();
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        let mut folders: BTreeMap<String, BTreeMap<String, &[u8]>> = BTreeMap::new();
        for (path, contents) in entries(&bytes) {
            if let Some((folder, file)) = path.strip_prefix(root).and_then(|path| path.split_once('/')) {
                let files = folders.entry(folder.to_owned()).or_default();
                files.insert(file.to_owned(), contents);
            }
        }
        let cases = folders.into_iter().flat_map(|(name, files)| {
            let model = files.get("model.onnx").map(|model| model.to_vec());
            let sets = (0..).map(|number| format!("test_data_set_{number}"));
            let sets: Vec<String> = sets
                .take_while(|set| files.keys().any(|file| file.starts_with(&format!("{set}/"))))
                .collect();
            let tensors = |set: &str, kind: &str| -> Vec<TensorProto> {
                (0..)
                    .map_while(|i| files.get(&format!("{set}/{kind}_{i}.pb")))
                    .map(|bytes| TensorProto::decode(*bytes).unwrap_or_default())
                    .collect()
            };
            let case = |set: &String| Self {
                name: name.clone(),
                model: model.clone().unwrap_or_default(),
                inputs: tensors(set, "input"),
                outputs: tensors(set, "output"),
            };
            sets.iter().map(case).collect::<Vec<_>>()
        });
        cases.collect()
    }

    /// Its operators, those in the bodies of nodes included.
    pub(crate) fn operators(&self) -> Vec<String> {
        fn gather(graph: &GraphProto, operators: &mut Vec<String>) {
            for node in &graph.node {
                operators.push(node.op_type().to_owned());
                let bodies = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
                bodies.for_each(|body| gather(body, operators));
            }
        }
        let model = ModelProto::decode(self.model.as_slice()).unwrap_or_default();
        let mut operators = Vec::new();
        model.graph.iter().for_each(|graph| gather(graph, &mut operators));
        operators
    }

    /// The outputs whose shape is worked out from those of the inputs: name, that shape, the right one.
    pub(crate) fn shapes(&self) -> Vec<(String, Vec<usize>, Vec<usize>)> {
        let model = ModelProto::decode(self.model.as_slice()).unwrap_or_default();
        let Some(graph) = model.graph else { return Vec::new() };
        let constants: Vec<&str> = graph.initializer.iter().map(TensorProto::name).collect();
        let names = graph.input.iter().map(splitscope::onnx::ValueInfoProto::name);
        let given = names.filter(|name| !constants.contains(name)).zip(&self.inputs);
        let given: Shapes = given.map(|(name, tensor)| (name.to_owned(), shape(tensor))).collect();
        let found = shapes(&graph, &given);
        // Sequences have no shape.
        let is_tensor = |output: &ValueInfoProto| {
            let kind = output.r#type.as_ref().and_then(|kind| kind.value.as_ref());
            matches!(kind, None | Some(type_proto::Value::TensorType(_)))
        };
        let outputs = graph
            .output
            .iter()
            .zip(&self.outputs)
            .filter(|(output, _)| is_tensor(output));
        let outputs = outputs.map(|(output, tensor)| (output.name(), tensor));
        outputs
            .filter_map(|(name, tensor)| Some((name.to_owned(), found.get(name)?.clone(), shape(tensor))))
            .collect()
    }

    pub(crate) fn judge(&self) -> Verdict {
        let refused = |e: &dyn std::fmt::Display| Verdict::Refused(e.to_string().replace('\n', " "));
        let model = ModelProto::decode(self.model.as_slice()).unwrap();
        let engine = match Rten::load(self.model.clone()) {
            Ok(engine) => engine,
            Err(error) => return refused(&error),
        };
        let graph = model.graph.as_ref().unwrap();
        let constants: Vec<&str> = graph
            .initializer
            .iter()
            .map(splitscope::onnx::TensorProto::name)
            .collect();
        let names = graph
            .input
            .iter()
            .map(splitscope::onnx::ValueInfoProto::name)
            .filter(|n| !constants.contains(n));
        let mut given = Vec::new();
        for (name, tensor) in names.zip(&self.inputs) {
            match value(tensor) {
                Ok(value) => given.push((name, value)),
                Err(reason) => return Verdict::Refused(format!("input: {reason}")),
            }
        }
        let wanted: Vec<&str> = graph
            .output
            .iter()
            .map(splitscope::onnx::ValueInfoProto::name)
            .collect();
        let values = match engine.run(
            &given.iter().map(|(name, tensor)| (*name, tensor)).collect::<Vec<_>>(),
            &wanted,
        ) {
            Ok(values) => values,
            Err(error) => return refused(&error),
        };
        for (number, (value, tensor)) in values.iter().zip(&self.outputs).enumerate() {
            if let Err(how) = same(value, tensor) {
                return Verdict::Differs(format!("output {number}: {how}"));
            }
        }
        Verdict::Right
    }
}

/// Paths and contents of the files in a tar archive.
fn entries(tar: &[u8]) -> Vec<(String, &[u8])> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim_end_matches(['\0', ' ']).to_owned();
    let (mut entries, mut at, mut long) = (Vec::new(), 0, None);
    while let Some(head) = tar.get(at..at + 512).filter(|head| head[0] != 0) {
        let size = usize::from_str_radix(text(&head[124..136]).trim(), 8).unwrap();
        let start = at + 512;
        let contents = &tar[start..start + size];
        match head[156] {
            // A path of more than 100 bytes stands in an entry of its own before the file.
            b'L' => long = Some(text(contents)),
            b'0' | 0 => entries.push((long.take().unwrap_or_else(|| text(&head[..100])), contents)),
            _ => long = None,
        }
        at = start + size.next_multiple_of(512);
    }
    entries
}

/// The numbers of a tensor.
fn numbers(tensor: &TensorProto) -> Result<Vec<f64>, String> {
    let bytes = tensor_bytes(tensor).map_err(|e| e.to_string())?;
    macro_rules! all {
        ($kind:ty) => {
            bytes
                .chunks_exact(size_of::<$kind>())
                .map(|b| <$kind>::from_le_bytes(b.try_into().unwrap()) as f64)
                .collect()
        };
    }
    Ok(match tensor.data_type() {
        data_type::FLOAT => all!(f32),
        data_type::DOUBLE => all!(f64),
        data_type::INT64 => all!(i64),
        data_type::INT32 => all!(i32),
        data_type::INT16 => all!(i16),
        data_type::INT8 => all!(i8),
        data_type::UINT8 | data_type::BOOL => all!(u8),
        data_type::UINT16 => all!(u16),
        data_type::UINT32 => all!(u32),
        data_type::UINT64 => all!(u64),
        data_type::FLOAT16 => bytes
            .chunks_exact(2)
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64())
            .collect(),
        other => return Err(format!("elements of type {other}")),
    })
}

fn shape(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|d| *d as usize).collect()
}

fn value(tensor: &TensorProto) -> Result<Tensor, String> {
    let (shape, numbers) = (shape(tensor), numbers(tensor)?);
    let values: TensorValues = match tensor.data_type() {
        data_type::FLOAT | data_type::DOUBLE | data_type::FLOAT16 => {
            numbers.iter().map(|v| *v as f32).collect::<Vec<_>>().into()
        }
        data_type::INT64 | data_type::INT32 | data_type::BOOL => {
            numbers.iter().map(|v| *v as i32).collect::<Vec<_>>().into()
        }
        data_type::INT8 => numbers.iter().map(|v| *v as i8).collect::<Vec<_>>().into(),
        data_type::UINT8 => numbers.iter().map(|v| *v as u8).collect::<Vec<_>>().into(),
        other => return Err(format!("elements of type {other}")),
    };
    Tensor::from_shape(shape, values).map_err(|error| error.to_string())
}

fn values_of(tensor: &Tensor) -> Vec<f64> {
    match tensor.values() {
        TensorValues::F32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        TensorValues::I32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        TensorValues::I64(values) => values.iter().map(|v| *v as f64).collect(),
        TensorValues::I8(values) => values.iter().map(|v| f64::from(*v)).collect(),
        TensorValues::U8(values) => values.iter().map(|v| f64::from(*v)).collect(),
        _ => Vec::new(),
    }
}

fn same(value: &Tensor, tensor: &TensorProto) -> Result<(), String> {
    let Ok(right) = numbers(tensor) else { return Ok(()) };
    let is = values_of(value);
    if value.shape() != shape(tensor) {
        return Err(format!("shape {:?} instead of {:?}", value.shape(), shape(tensor)));
    }
    let (absolute, relative) = match tensor.data_type() {
        data_type::FLOAT | data_type::DOUBLE => (1e-6, 1e-3),
        data_type::FLOAT16 => (1e-3, 2e-2),
        _ => (0.0, 0.0),
    };
    let close = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= absolute + relative * b.abs();
    let wrong: Vec<usize> = (0..is.len()).filter(|i| !close(is[*i], right[*i])).collect();
    match wrong.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} of {} values, first [{first}] {} instead of {}",
            wrong.len(),
            is.len(),
            is[*first],
            right[*first]
        )),
    }
}
