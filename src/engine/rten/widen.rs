//! Constants of an element type that the engine lacks, as floats of the same value.

use crate::onnx::build::float_tensor;
use crate::onnx::schema::data_type;
use crate::onnx::{ModelProto, OnnxError, TensorProto, float_values};

/// Turns the bfloat16 initializers of the main graph into float32 ones, which hold the same numbers. A Cast to float behind
/// them then does nothing. Tells whether there were any.
///
/// # Errors
/// [`OnnxError::Tensor`] for an initializer whose shape and data do not fit.
pub(super) fn widen_bfloats(model: &mut ModelProto) -> Result<bool, OnnxError> {
    let mut any = false;
    let initializers = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for tensor in initializers.filter(|tensor| tensor.data_type() == data_type::BFLOAT16) {
        let values = float_values(tensor)?;
        *tensor = TensorProto {
            dims: std::mem::take(&mut tensor.dims),
            ..float_tensor(tensor.name(), &[], &values)
        };
        any = true;
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::GraphProto;
    use crate::onnx::build::raw_tensor;

    #[test]
    fn only_bfloats_change_and_keep_their_values() {
        let half = raw_tensor("half", data_type::FLOAT16, &[1], vec![0x00, 0x3c]);
        let brain = raw_tensor("brain", data_type::BFLOAT16, &[2, 1], vec![0x80, 0x3f, 0x20, 0xc0]);
        let graph = GraphProto {
            initializer: vec![half.clone(), brain],
            ..GraphProto::default()
        };
        let mut model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        assert!(widen_bfloats(&mut model).unwrap());
        let initializers = &model.graph.as_ref().unwrap().initializer;
        assert_eq!(initializers[..], [half, float_tensor("brain", &[2, 1], &[1.0, -2.5])]);
        assert!(!widen_bfloats(&mut model).unwrap());
        model.graph.as_mut().unwrap().initializer = vec![raw_tensor("cut", data_type::BFLOAT16, &[2], vec![0])];
        assert!(widen_bfloats(&mut model).unwrap_err().to_string().contains("'cut'"));
    }
}
