//! The words of the command line: subcommands and their flags.

mod data;
mod engine;
mod examples;
mod front;
mod recipe;
mod values;

#[cfg(test)]
mod tests;

pub(super) use data::{AnswerArguments, DataArguments, NetworkOutputArguments};
use engine::EngineArguments;
pub(super) use front::FrontArguments;
pub(super) use recipe::{BaseRecipeArguments, RecipeArguments};

use crate::inference::auto::{Budget, LatencyTarget};
use crate::inference::sweep::Shard;
use crate::quantization::{Bits, Clip, Granularity, Rounding};
use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use values::{at_least_one, bytes, drop_share, grid_bits, on_or_off, path_text, positive, ratio, share};

/// See the outliers of a trained network, split and clip them away, export the quantized result.
#[derive(Debug, Parser)]
#[command(
    name = "splitscope",
    version,
    about,
    max_term_width = 110,
    override_usage = "splitscope [OPTIONS] [MODEL]\n       splitscope [--threads <N>] <COMMAND>",
    after_help = "Without a subcommand the window opens; without MODEL it shows the embedded demo.\n\
                  demo:fashion and demo:shakespeare stand for the embedded networks and their data.\n\
                  Exit status: 0 done, 1 failed (one line on stderr), 2 wrong usage, 3 a limit\n\
                  of check is missed, 130 cancelled."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Network to open: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: Option<String>,
    /// Start from the choices in this recipe file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(super) recipe: Option<PathBuf>,
    /// Data for the preview: images, arrays or text
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Work on so many threads, at most as many as there are cores, which is the default. Where the window opens, it remembers the number
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    pub(super) threads: Option<usize>,
    #[command(flatten)]
    pub(super) engine: EngineArguments,
}

impl Arguments {
    /// Reads the words of a command line.
    ///
    /// # Errors
    /// What is wrong with them, or the help that they ask for.
    pub(super) fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let first = words
            .get(1)
            .and_then(|word| word.to_str())
            .unwrap_or_default()
            .to_owned();
        let arguments = Self::try_parse_from(words).map_err(|error| match no_such_word(&first) {
            // What follows it is of a subcommand that there is not.
            Some(why) if error.kind() == ErrorKind::UnknownArgument => {
                Self::command().error(ErrorKind::InvalidSubcommand, why)
            }
            _ => error,
        })?;
        let of_window = arguments.model.is_some() || arguments.recipe.is_some() || arguments.data.is_some();
        if of_window && arguments.command.is_some() {
            let text = "MODEL, --recipe and --data of the window stand without a subcommand";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        }
        Ok(arguments)
    }
}

/// Why `word` is nothing to open: a single word that names neither a file nor a subcommand was meant as a subcommand, and the window would
/// only say that there is no such file.
pub(super) fn no_such_word(word: &str) -> Option<String> {
    let is_word = word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let is_there = std::path::Path::new(word).exists() || Arguments::command().find_subcommand(word).is_some();
    (is_word && !is_there).then(|| format!("there is neither a subcommand nor a file '{word}', see --help"))
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the layers of a network and how far their outliers reach
    #[command(after_help = examples::INSPECT)]
    Inspect(InspectArguments),
    /// Split, clip and quantize a network and write it as .onnx or .safetensors
    #[command(after_help = examples::QUANTIZE)]
    Quantize(QuantizeArguments),
    /// Run a network before and after quantization on the same data and compare
    #[command(after_help = examples::EVALUATE)]
    Evaluate(EvaluateArguments),
    /// Let a language model go on from a text, before and after quantization
    #[command(after_help = examples::CONTINUE)]
    Continue(ContinueArguments),
    /// Check a recipe against limits, for continuous integration: exit status 3 when one is missed
    #[command(after_help = examples::CHECK)]
    Check(CheckArguments),
    /// Quantize one layer at a time and show which layers the outputs are sensitive to
    #[command(after_help = examples::SENSITIVITY)]
    Sensitivity(SensitivityArguments),
    /// Name why the worst layers lose accuracy, try fixes on each and show what they win and cost
    #[command(after_help = examples::CURE)]
    Cure(CureArguments),
    /// Name massive activations and super weights of a float network, and show how it answers without each
    #[command(after_help = examples::MASSIVE)]
    Massive(MassiveArguments),
    /// Try a grid of recipes on the same data and show which are best
    #[command(after_help = examples::SWEEP)]
    Sweep(SweepArguments),
    /// Show what scales, clips, splits and rounding reach, alone and together, against the bytes of the file
    Front(FrontArguments),
    /// Choose bits, splits and clipping of each layer for a budget or an accuracy, and show what that gains
    Auto(AutoArguments),
    /// Compare two networks layer by layer, such as an export with its original
    #[command(after_help = examples::DIFF)]
    Diff(DiffArguments),
    /// Compare every value of the graph, float against quantized, and show where the error arises
    #[command(after_help = examples::TRACE)]
    Trace(TraceArguments),
    /// Write a page that shows what a recipe does to a network, to hand on
    #[command(after_help = examples::REPORT)]
    Report(ReportArguments),
    /// Write the completions of a shell, or the manual page, to standard output
    #[command(after_help = examples::GENERATE)]
    Generate(GenerateArguments),
}

/// `splitscope generate`.
#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    /// What to write
    pub(super) what: Generated,
}

/// What is made from the words of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Generated {
    /// The manual pages, one after another (roff)
    Man,
    /// Completions for bash
    Bash,
    /// Completions for elvish
    Elvish,
    /// Completions for fish
    Fish,
    /// Completions for PowerShell
    Powershell,
    /// Completions for zsh
    Zsh,
}

/// `splitscope inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Run these samples too and tell the range of each layer's input
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Samples of --data to run
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    pub(super) limit: usize,
    /// An outlier lies farther from the mean than this many standard deviations
    #[arg(long, value_name = "S", default_value_t = 4.0, value_parser = positive)]
    pub(super) sigma: f64,
    /// Show one layer's error against splits and against bits instead, for each way of clipping; the recipe flags say at
    /// which bits and expand ratio
    #[arg(long, value_name = "LAYER", conflicts_with = "data")]
    pub(super) curves: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
}

/// `splitscope quantize`.
#[derive(Debug, Args)]
pub(super) struct QuantizeArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// File to write; .onnx keeps the graph, .safetensors holds the weights alone
    #[arg(short, long, value_name = "OUT.{onnx,safetensors}")]
    pub(super) output: PathBuf,
    /// Write what became of each layer as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(super) report: Option<PathBuf>,
    /// How an OUT.safetensors holds weights on a grid: splitscope (codes of every layer, packed as in ONNX) or compressed-tensors
    /// (linear layers as transformers and vLLM read them, with config.json beside it if there is none)
    #[arg(long, value_name = "LAYOUT", default_value = "splitscope", value_parser = ["splitscope", "compressed-tensors"])]
    pub(super) layout: String,
    /// Give a decoder that was opened as weights inputs and outputs for keys and values of earlier tokens (past_key_values.N.key,
    /// present.N.key and likewise value), so that it reads each token once; OUT.onnx
    #[arg(long)]
    pub(super) with_past: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
}

/// `splitscope evaluate`.
#[derive(Debug, Args)]
pub(super) struct EvaluateArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Labelled images, arrays or text to compare on, or a demo's own
    #[arg(long, value_name = "PATH", required_unless_present = "inputs", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Also choose the activations' splits for each batch by itself: a bound for --activation-expand-ratio; slow
    #[arg(long)]
    pub(super) oracle_ocs: bool,
    /// Also time the float and the quantized network, for a batch of one and of several, and measure their memory
    #[arg(long)]
    pub(super) latency: bool,
    /// Also run the same networks in the other engine (onnxruntime, or rten if that is chosen) and compare the outputs
    #[arg(long)]
    pub(super) verify: bool,
    /// Write the loss of both networks at each token of a text too
    #[arg(long, value_name = "FILE.csv")]
    pub(super) token_losses: Option<PathBuf>,
    /// Write the quantized network's outputs too, one row a sample
    #[arg(long, value_name = "FILE.npy")]
    pub(super) logits: Option<PathBuf>,
    /// Print JSON instead of a table; what data or outputs cannot tell (top1, agreement) is absent
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: AnswerArguments,
}

/// `splitscope continue`.
#[derive(Debug, Args)]
pub(super) struct ContinueArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Text to go on from
    #[arg(long, value_name = "TEXT")]
    pub(super) prompt: String,
    /// Tokens to write
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = at_least_one)]
    pub(super) tokens: usize,
    /// Draw tokens from the network's distribution, sharpened below 1; without, the likeliest is taken. Both networks draw with
    /// the same noise
    #[arg(long, value_name = "T", value_parser = positive)]
    pub(super) temperature: Option<f64>,
    /// Which noise --temperature draws with
    #[arg(long, value_name = "N", default_value_t = 0, requires = "temperature")]
    pub(super) seed: u64,
    /// Print JSON at the end instead of text as it comes
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
}

/// `splitscope check`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("limits").required(true).multiple(true))]
pub(super) struct CheckArguments {
    /// Network: an .onnx, .safetensors or .gguf file or a hub's folder that can be run, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// What the recipe may cost on --data, such as 1%: of top-1, mean IoU (points) or correlation; of text, by how much perplexity may
    /// grow
    #[arg(long, value_name = "SHARE", value_parser = drop_share, group = "limits")]
    pub(super) max_drop: Option<f64>,
    /// Bytes that the exported .onnx file may have
    #[arg(long, value_name = "N", value_parser = bytes, group = "limits")]
    pub(super) max_bytes: Option<u64>,
    /// Output SQNR on --data that must be reached, decibels
    #[arg(long, value_name = "DB", value_parser = positive, group = "limits")]
    pub(super) min_sqnr: Option<f64>,
    /// Labelled images, arrays or text to measure on, or a demo's own
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: AnswerArguments,
}

/// `splitscope sensitivity`.
#[derive(Debug, Args)]
pub(super) struct SensitivityArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on inputs that are made up
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: AnswerArguments,
}

/// `splitscope massive`.
#[derive(Debug, Args)]
pub(super) struct MassiveArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Text, images or arrays to run, or a demo's own; without, seeded noise
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples (of text: tokens) only: massive activations begin with the first tokens
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    pub(super) limit: usize,
    /// Least |x| of a massive activation
    #[arg(long, value_name = "X", default_value_t = 100.0, value_parser = positive)]
    pub(super) magnitude: f64,
    /// Least |x| over the median |x| of its value
    #[arg(long, value_name = "R", default_value_t = 1000.0, value_parser = positive)]
    pub(super) ratio: f64,
    /// Run the network without each of the first N activations and weights
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub(super) top: usize,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: AnswerArguments,
}

/// `splitscope cure`.
#[derive(Debug, Args)]
pub(super) struct CureArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on inputs that are made up
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(super) limit: usize,
    /// Look at this layer; may be given several times. Without, at the worst
    #[arg(long = "layer", value_name = "LAYER")]
    pub(super) layers: Vec<String>,
    /// Look at N layers at most: those that together make 80 % of the error, the worst first
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one, conflicts_with = "layers")]
    pub(super) worst: usize,
    /// Bytes that the fixes may add in all: a share of the quantized network (5%), or bytes (20kB)
    #[arg(long, value_name = "SHARE|BYTES", default_value = "5%")]
    pub(super) within: Budget,
    /// Write the recipe with the fixes (TOML), for --recipe FILE
    #[arg(short, long, value_name = "RECIPE.toml")]
    pub(super) output: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: NetworkOutputArguments,
}

/// `splitscope trace`.
#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    /// Float network: an .onnx, .safetensors or .gguf file or a hub's folder that can be run, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// The same network quantized by any tool; without, the recipe quantizes MODEL
    #[arg(value_parser = path_text())]
    pub(super) quantized: Option<String>,
    /// Images, arrays or text to run, or a demo's own; without, seeded noise
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(super) limit: usize,
    /// Show only the values that this output of the network is computed from
    #[arg(long, value_name = "NAME")]
    pub(super) output: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
}

/// `splitscope sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on seeded noise
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Write each row as it finishes
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Run only part I of N of the grid, each part on a machine of its own; the CSV files can be joined
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Keep the rows that the CSV file has already and add those that it lacks
    #[arg(long, requires = "csv")]
    pub(super) resume: bool,
    /// Also time each row on a batch of one, in onnxruntime where it is found, else in the engine that runs the networks
    #[arg(long)]
    pub(super) latency: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(super) json: bool,
    /// Bits of each weight to try: 2 to 8, or float
    #[arg(long, value_name = "K,K,...", value_delimiter = ',', help_heading = "Grid")]
    pub(super) weight_bits: Vec<Bits>,
    /// Shares of input channels to try
    #[arg(long, value_name = "R,R,...", value_delimiter = ',', value_parser = ratio, help_heading = "Grid")]
    pub(super) expand_ratio: Vec<f64>,
    /// Ways to choose the largest weight kept to try: none, mse, aciq, aciq-2019, kl, percentile[:P], octav, manual:T
    #[arg(long, value_name = "HOW,HOW,...", value_delimiter = ',', help_heading = "Grid")]
    pub(super) clip: Vec<Clip>,
    /// Bits of each layer's input to try: 2 to 8 (needs calibration data), or float
    #[arg(long, value_name = "K,K,...", value_delimiter = ',', help_heading = "Grid")]
    pub(super) activation_bits: Vec<Bits>,
    /// What has a scale of its own, to try: tensor, channel, block:N
    #[arg(
        long,
        value_name = "tensor|channel|block:N,...",
        value_delimiter = ',',
        help_heading = "Grid"
    )]
    pub(super) scales: Vec<Granularity>,
    /// Ways to round to try: nearest, squant, gptq
    #[arg(
        long,
        value_name = "nearest|squant|gptq,...",
        value_delimiter = ',',
        help_heading = "Grid"
    )]
    pub(super) rounding: Vec<Rounding>,
    /// Zero points of the weights' scales to try: off, on; without a value, on
    #[arg(
        long,
        value_name = "off|on,...",
        value_delimiter = ',',
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        value_parser = on_or_off,
        help_heading = "Grid"
    )]
    pub(super) weight_zero_points: Vec<bool>,
    #[command(flatten)]
    pub(super) recipe_flags: BaseRecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: AnswerArguments,
}

/// `splitscope auto`.
#[derive(Debug, Args)]
#[command(after_help = examples::AUTO)]
pub(super) struct AutoArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on seeded noise
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Bytes that the quantized weights may take: so much more than plain --weight-bits (5%), or in all (130kB, 1.5MB)
    #[arg(long, value_name = "SHARE|BYTES", default_value = "5%", allow_hyphen_values = true)]
    pub(super) budget: Budget,
    /// Take the fewest bytes that reach this accuracy instead, a share (0.93 or 93%): of right answers, or where there are no
    /// labels, of answers that are the float network's
    #[arg(long, value_name = "A", conflicts_with = "budget", value_parser = share)]
    pub(super) target_accuracy: Option<f64>,
    /// Choose nothing whose run on one sample takes longer, as the median: milliseconds (20ms), or a share of the float network's
    /// time (0.8x); timed in onnxruntime where it is found, else in the engine that runs the networks
    #[arg(long, value_name = "MS|RATIO", conflicts_with = "shard")]
    pub(super) target_latency: Option<LatencyTarget>,
    /// Bits that a layer may get; one number keeps all layers at it
    #[arg(long, value_name = "K,K,...", value_delimiter = ',', default_value = "2,3,4,5,6,7,8", value_parser = grid_bits)]
    pub(super) layer_bits: Vec<u8>,
    /// Ways to choose the largest weight kept that a layer may get
    #[arg(
        long,
        value_name = "HOW,HOW,...",
        value_delimiter = ',',
        default_value = "none,mse,aciq,kl"
    )]
    pub(super) layer_clips: Vec<Clip>,
    /// What may have a scale of its own in a layer; one alone keeps all layers at it
    #[arg(
        long,
        value_name = "tensor|channel|block:N,...",
        value_delimiter = ',',
        default_value = "tensor,channel"
    )]
    pub(super) layer_scales: Vec<Granularity>,
    /// Ways to round that a layer may get; one alone keeps all layers at it
    #[arg(
        long,
        value_name = "nearest|squant|gptq,...",
        value_delimiter = ',',
        default_value = "nearest,squant,gptq"
    )]
    pub(super) layer_rounding: Vec<Rounding>,
    /// Whether the scales of a layer may have zero points: off, on, or both; without, as the recipe says
    #[arg(long, value_name = "off|on,...", value_delimiter = ',', value_parser = on_or_off)]
    pub(super) layer_zero_points: Vec<bool>,
    /// Search with batch-norms folded too, where the recipe does not fold them, and take what does better
    #[arg(long, conflicts_with = "csv")]
    pub(super) try_folding: bool,
    /// Write each run of the network as it finishes
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Make only part I of N of the runs that depend on no other, each part on a machine of its own; the CSV files can be joined
    #[arg(long, value_name = "I/N", requires = "csv")]
    pub(super) shard: Option<Shard>,
    /// Make no run again that the CSV file has already
    #[arg(long, requires = "csv")]
    pub(super) resume: bool,
    /// Judge on N samples at most
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Choose on N samples at most [default: 256 images or 8192 tokens]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) choose_limit: Option<usize>,
    /// Write the recipe (TOML), for --recipe FILE
    #[arg(short, long, value_name = "RECIPE.toml")]
    pub(super) output: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: NetworkOutputArguments,
}

/// `splitscope diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// Network to compare with: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_name = "A", value_parser = path_text())]
    pub(super) one: String,
    /// Network to compare, such as an export of the first
    #[arg(value_name = "B", value_parser = path_text())]
    pub(super) other: String,
    /// Run both on these samples too and compare their answers
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Compare the files as they are: do not fold and equalize one of them as the recipe in the other says
    #[arg(long)]
    pub(super) as_is: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: AnswerArguments,
}

/// `splitscope report`.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Network: an .onnx, .safetensors or .gguf file, a hub's folder, demo:fashion or demo:shakespeare
    #[arg(value_parser = path_text())]
    pub(super) model: String,
    /// Page to write
    #[arg(short, long, value_name = "REPORT.html")]
    pub(super) output: Option<PathBuf>,
    /// Write the layers' numbers for Model Explorer, a file each: OUT.sqnr_db.json, OUT.outliers.json, OUT.bits.json,
    /// OUT.splits.json
    #[arg(long, value_name = "OUT.json")]
    pub(super) model_explorer: Option<PathBuf>,
    /// Run the networks on these samples and tell the accuracy
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Also time the float and the quantized network, in onnxruntime where it is found, else in the engine that runs them
    #[arg(long, requires = "data")]
    pub(super) latency: bool,
    /// Show the rows of this sweep too, a file that sweep --csv wrote
    #[arg(long, value_name = "FILE.csv")]
    pub(super) sweep: Option<PathBuf>,
    /// An outlier lies farther from the mean than this many standard deviations
    #[arg(long, value_name = "S", default_value_t = 4.0, value_parser = positive)]
    pub(super) sigma: f64,
    #[command(flatten)]
    pub(super) recipe_flags: RecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
    #[command(flatten)]
    pub(super) answer: NetworkOutputArguments,
}

/// Where the ranges of activations come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Calibration")]
pub(super) struct CalibrationArguments {
    /// Samples that show how large activations get; a demo brings its own. Without any, batch-norm statistics tell, and
    /// noise where there are none
    #[arg(long, value_name = "PATH", value_parser = path_text())]
    pub(super) calibration: Option<String>,
    /// Samples of the calibration data to run
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    pub(super) calibration_limit: usize,
    /// Use no calibration data, not even a demo's own
    #[arg(long, conflicts_with = "calibration")]
    pub(super) data_free: bool,
}
