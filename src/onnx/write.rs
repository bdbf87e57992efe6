//! Writing: the model as bytes, or as a file that is written beside and renamed.

use super::blocks::{BlockFormat, as_floats};
use super::schema::{EXTERNAL, StringStringEntryProto, data_type};
use super::tensor::{element_count, tensor_bytes};
use super::{GraphProto, ModelProto, OnnxError, TensorProto};
use crate::files;
use crate::replacement::Replacement;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use std::io::{self, Write};
use std::path::Path;

/// The most bytes that protobuf implementations read in one message.
const LARGEST: usize = i32::MAX as usize;

/// Above [`LARGEST`], tensors from this size on leave the file.
const SMALLEST_EXTERNAL: usize = 1024;

/// External tensors begin on such boundaries, so that readers can map them.
const ALIGNMENT: u64 = 4096;

/// Elements of so many bytes leave memory once they are written.
const LARGE: usize = 1 << 20;

/// Field numbers that the streaming writer needs by name.
const MODEL_GRAPH: u32 = 7;
const GRAPH_NODE: u32 = 1;
const GRAPH_INITIALIZER: u32 = 5;
const TENSOR_RAW_DATA: u32 = 9;

/// The model as the bytes of an `.onnx` file.
///
/// # Errors
/// [`OnnxError::Encode`] above the 2 GiB that protobuf can hold.
pub fn encode(model: &ModelProto) -> Result<Vec<u8>, OnnxError> {
    let model = &*as_floats(model)?;
    check_size(model, LARGEST)?;
    Ok(model.encode_to_vec())
}

/// Bytes that [`write_file`] writes of `model`, those of the file beside it included but for its alignment.
pub fn encoded_bytes(model: &ModelProto) -> u64 {
    let mut bytes = model.encoded_len() as u64;
    // Blocks leave as floats.
    let tensors = model.graph.iter().flat_map(|graph| &graph.initializer);
    for tensor in tensors.filter(|tensor| BlockFormat::from_element_type(tensor.data_type()).is_some()) {
        let stored = tensor.raw_data.as_ref().map_or(0, bytes::Bytes::len) as u64;
        let floats = element_count(tensor).map_or(0, |count| 4 * count as u64);
        bytes = bytes.saturating_sub(stored).saturating_add(floats);
    }
    bytes
}

/// Writes the model; above 2 GiB its tensors go to `NAME.onnx.data` beside it.
///
/// # Errors
/// [`OnnxError::Io`]; an existing file is then untouched.
pub fn write_file(model: &ModelProto, path: &Path) -> Result<(), OnnxError> {
    write_limited(&*as_floats(model)?, path, LARGEST)
}

/// [`write_file`] with another limit on what one file holds, in bytes.
fn write_limited(model: &ModelProto, path: &Path, limit: usize) -> Result<(), OnnxError> {
    // A write out of a map that was cut off fails as a bad address: what is wrong is the file that was read.
    let failed = |source| OnnxError::Io {
        path: path.to_owned(),
        source: files::check_all().err().unwrap_or(source),
    };
    let unchanged = || files::check_all().map_err(failed);
    if model.encoded_len() <= limit {
        let mut file = Replacement::new(path).map_err(failed)?;
        stream(model, &mut file).map_err(failed)?;
        unchanged()?;
        return file.commit().map_err(failed);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let data_name = format!("{name}.data");
    let data_path = path.with_file_name(&data_name);
    let data_failed = |source| OnnxError::Io {
        path: data_path.clone(),
        source,
    };
    let mut data_file = Replacement::new(&data_path).map_err(data_failed)?;
    let model = move_out(model, &data_name, &mut data_file, data_failed)?;
    check_size(&model, limit)?;
    let mut file = Replacement::new(path).map_err(failed)?;
    stream(&model, &mut file).map_err(failed)?;
    // Both are whole and on the disk before the first takes its place: only the two renames are left to fail.
    file.sync().map_err(failed)?;
    unchanged()?;
    data_file.commit().map_err(data_failed)?;
    file.commit().map_err(failed)
}

fn check_size(model: &ModelProto, limit: usize) -> Result<(), OnnxError> {
    let size = model.encoded_len();
    if size <= limit {
        return Ok(());
    }
    Err(OnnxError::Encode(format!(
        "it takes {size} bytes, an ONNX file holds at most {limit}"
    )))
}

/// The model with the elements of its large initializers written to `data`.
fn move_out(
    model: &ModelProto,
    data_name: &str,
    data: &mut impl Write,
    failed: impl Fn(io::Error) -> OnnxError,
) -> Result<ModelProto, OnnxError> {
    let mut model = model.clone();
    let mut position = 0_u64;
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if tensor.data_type() == data_type::STRING || tensor.encoded_len() < SMALLEST_EXTERNAL {
            continue;
        }
        let bytes = tensor_bytes(tensor)?;
        let offset = position.next_multiple_of(ALIGNMENT);
        let gap = io::copy(&mut io::Read::take(io::repeat(0), offset - position), data);
        gap.and_then(|_| data.write_all(&bytes)).map_err(&failed)?;
        release(&bytes);
        position = offset + bytes.len() as u64;
        *tensor = TensorProto {
            name: tensor.name.take(),
            doc_string: tensor.doc_string.take(),
            dims: std::mem::take(&mut tensor.dims),
            data_type: tensor.data_type,
            segment: tensor.segment,
            metadata_props: std::mem::take(&mut tensor.metadata_props),
            data_location: Some(EXTERNAL),
            external_data: vec![
                entry("location", data_name.to_owned()),
                entry("offset", offset.to_string()),
                entry("length", bytes.len().to_string()),
            ],
            ..TensorProto::default()
        };
    }
    Ok(model)
}

/// Writes the bytes of [`encode`] piece by piece: initializers go out of the memory that they are in.
///
/// Fields leave in the order of their numbers, as prost itself orders them.
fn stream(model: &ModelProto, out: &mut impl Write) -> io::Result<()> {
    let Some(graph) = &model.graph else {
        return out.write_all(&model.encode_to_vec());
    };
    let head = ModelProto {
        ir_version: model.ir_version,
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        domain: model.domain.clone(),
        model_version: model.model_version,
        doc_string: model.doc_string.clone(),
        ..ModelProto::default()
    };
    let tail = ModelProto {
        opset_import: model.opset_import.clone(),
        metadata_props: model.metadata_props.clone(),
        training_info: model.training_info.clone(),
        functions: model.functions.clone(),
        configuration: model.configuration.clone(),
        ..ModelProto::default()
    };
    out.write_all(&head.encode_to_vec())?;
    begin_message(MODEL_GRAPH, graph.encoded_len(), out)?;
    stream_graph(graph, out)?;
    out.write_all(&tail.encode_to_vec())
}

fn stream_graph(graph: &GraphProto, out: &mut impl Write) -> io::Result<()> {
    let name = GraphProto {
        name: graph.name.clone(),
        ..GraphProto::default()
    };
    let tail = GraphProto {
        doc_string: graph.doc_string.clone(),
        input: graph.input.clone(),
        output: graph.output.clone(),
        value_info: graph.value_info.clone(),
        quantization_annotation: graph.quantization_annotation.clone(),
        sparse_initializer: graph.sparse_initializer.clone(),
        metadata_props: graph.metadata_props.clone(),
        ..GraphProto::default()
    };
    for node in &graph.node {
        begin_message(GRAPH_NODE, node.encoded_len(), out)?;
        out.write_all(&node.encode_to_vec())?;
    }
    out.write_all(&name.encode_to_vec())?;
    for tensor in &graph.initializer {
        begin_message(GRAPH_INITIALIZER, tensor.encoded_len(), out)?;
        stream_tensor(tensor, out)?;
    }
    out.write_all(&tail.encode_to_vec())
}

fn stream_tensor(tensor: &TensorProto, out: &mut impl Write) -> io::Result<()> {
    let Some(raw) = &tensor.raw_data else {
        return out.write_all(&tensor.encode_to_vec());
    };
    let mut rest = tensor.clone();
    rest.raw_data = None;
    // What comes after the elements is rare: fields 10 to 16.
    let tail = TensorProto {
        double_data: std::mem::take(&mut rest.double_data),
        uint64_data: std::mem::take(&mut rest.uint64_data),
        doc_string: rest.doc_string.take(),
        external_data: std::mem::take(&mut rest.external_data),
        data_location: rest.data_location.take(),
        metadata_props: std::mem::take(&mut rest.metadata_props),
        ..TensorProto::default()
    };
    out.write_all(&rest.encode_to_vec())?;
    begin_message(TENSOR_RAW_DATA, raw.len(), out)?;
    out.write_all(raw)?;
    release(raw);
    out.write_all(&tail.encode_to_vec())
}

/// Gives back the memory of elements that were written, where a file holds them and they are worth it.
fn release(elements: &[u8]) {
    if elements.len() >= LARGE {
        files::release(elements);
    }
}

/// Key and length of a field that is a message or bytes.
fn begin_message(field: u32, length: usize, out: &mut impl Write) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(key_len(field) + encoded_len_varint(length as u64));
    encode_key(field, WireType::LengthDelimited, &mut bytes);
    encode_varint(length as u64, &mut bytes);
    out.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, i64_tensor};
    use crate::onnx::{read_bytes, read_file};
    use bytes::Bytes;

    const DEMO: &[u8] = include_bytes!("../../assets/fashion_resnet.onnx");

    fn demo() -> ModelProto {
        read_bytes(Bytes::from_static(DEMO), None).unwrap()
    }

    #[test]
    fn a_file_holds_exactly_the_bytes_of_encode() {
        let mut model = demo();
        model.doc_string = Some("a text".into());
        let graph = model.graph.as_mut().unwrap();
        graph.doc_string = Some("another".into());
        graph.initializer[0].doc_string = Some("behind the elements".into());
        graph.initializer[1].raw_data = None;
        let mut streamed = Vec::new();
        stream(&model, &mut streamed).unwrap();
        assert!(streamed == encode(&model).unwrap());
    }

    #[test]
    fn a_model_too_large_for_one_file_is_read_back_from_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.onnx");
        let mut model = demo();
        let typed = TensorProto {
            name: Some("typed".into()),
            data_type: Some(data_type::FLOAT),
            dims: vec![1000],
            float_data: vec![0.5; 1000],
            ..TensorProto::default()
        };
        model.graph.as_mut().unwrap().initializer.push(typed);
        write_limited(&model, &path, 200_000).unwrap();
        let data = std::fs::metadata(folder.path().join("large.onnx.data")).unwrap().len();
        assert!(data > 900_000, "{data}");
        assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
        // Elements come back in raw_data, whichever field they were in.
        *model.graph.as_mut().unwrap().initializer.last_mut().unwrap() = float_tensor("typed", &[1000], &[0.5; 1000]);
        assert!(read_file(&path).unwrap() == model);
    }

    #[test]
    fn a_model_that_fits_nowhere_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_limited(&demo(), &folder.path().join("a.onnx"), 100).unwrap_err();
        assert!(error.to_string().contains("holds at most 100"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_mapped_file_can_be_written_over_by_what_was_read_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        std::fs::write(&path, DEMO).unwrap();
        let mut model = read_file(&path).unwrap();
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.insert(0, i64_tensor("new", &[1], &[7]));
        write_file(&model, &path).unwrap();
        assert!(read_file(&path).unwrap() == model);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let error = write_file(&demo(), Path::new("/no/such/folder/a.onnx")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/no/such/folder/a.onnx: there is no folder '/no/such/folder'"
        );
    }
}
