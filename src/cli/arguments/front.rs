//! Words of `splitscope front`.

use super::values::{at_least_one, grid_bits, outlier_move, path_text};
use super::{AnswerArguments, CalibrationArguments, DataArguments, examples};
use crate::inference::sweep::OutlierMove;
use clap::Args;

/// `splitscope front`.
#[derive(Debug, Args)]
#[command(after_help = examples::FRONT)]
pub(in crate::cli) struct FrontArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(in crate::cli) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on seeded noise
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(in crate::cli) data: Option<String>,
    /// Judge on N samples at most
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(in crate::cli) limit: Option<usize>,
    /// Bits of the weights to try, inputs being float
    #[arg(long, value_name = "K,K,...", value_delimiter = ',', default_value = "4,3,2", value_parser = grid_bits)]
    pub(in crate::cli) weight_bits: Vec<u8>,
    /// Bits of the layers' inputs to try, with weights of 8 bits
    #[arg(long, value_name = "K,K,...", value_delimiter = ',', value_parser = grid_bits)]
    pub(in crate::cli) activation_bits: Vec<u8>,
    /// Try what moves outliers before anything is rounded too: rotate (residual streams of transformers), smooth (inputs of norms'
    /// readers, strength 0.5), awq
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',', value_parser = outlier_move)]
    pub(in crate::cli) moves: Vec<OutlierMove>,
    /// Run only the methods of these names, as the tables have them
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',')]
    pub(in crate::cli) methods: Vec<String>,
    /// Fold each batch-norm into the layer before it, first of all
    #[arg(long)]
    pub(in crate::cli) fold_batch_norm: bool,
    /// Correct the biases of all methods
    #[arg(long)]
    pub(in crate::cli) bias_correction: bool,
    /// Leave the first layer as it is
    #[arg(long)]
    pub(in crate::cli) float_first_layer: bool,
    /// Leave the last layer, the classifier, as it is
    #[arg(long)]
    pub(in crate::cli) float_last_layer: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(in crate::cli) data_flags: DataArguments,
    #[command(flatten)]
    pub(in crate::cli) answer: AnswerArguments,
}
