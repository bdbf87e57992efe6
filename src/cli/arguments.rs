//! The words of the command line: subcommands, flags, and what a flag may be.

use super::UsageError;
use crate::inference::DataOptions;
use crate::network::{Interpolation, Network};
use crate::quantization::{Bits, Clip, Preset, Recipe, SplitExport, SplitKind, UserPresets};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// See the outliers of a trained network, split and clip them away, export the quantized result.
#[derive(Debug, Parser)]
#[command(
    name = "splitscope",
    version,
    about,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    after_help = "Without a subcommand the window opens; without MODEL it shows the embedded demo.\n\
                  demo:fashion and demo:shakespeare stand for the embedded networks and their data.\n\
                  Exit status: 0 done, 1 failed (one line on stderr), 2 wrong usage, 130 cancelled."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Network to open: an .onnx or .safetensors file, demo:fashion or demo:shakespeare
    pub(super) model: Option<String>,
    /// Start from the choices in this recipe file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(super) recipe: Option<PathBuf>,
    /// Data for the preview: images, arrays or text
    #[arg(long, value_name = "PATH")]
    pub(super) data: Option<String>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the layers of a network and how far their outliers reach
    Inspect(InspectArguments),
    /// Split, clip and quantize a network and write it as .onnx or .safetensors
    Quantize(QuantizeArguments),
    /// Run a network before and after quantization on the same data and compare
    Evaluate(EvaluateArguments),
    /// Quantize one layer at a time and show which layers the outputs are sensitive about
    Sensitivity(SensitivityArguments),
    /// Try a grid of recipes on the same data and show which are best
    Sweep(SweepArguments),
    /// Write the completions of a shell, or the manual page, to standard output
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
    /// Network: an .onnx or .safetensors file, demo:fashion or demo:shakespeare
    pub(super) model: String,
    /// Run these samples too and tell the range of each layer's input
    #[arg(long, value_name = "PATH")]
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
    /// Network: an .onnx or .safetensors file, demo:fashion or demo:shakespeare
    pub(super) model: String,
    /// File to write; .onnx keeps the graph, .safetensors holds the weights alone
    #[arg(short, long, value_name = "OUT.{onnx,safetensors}")]
    pub(super) output: PathBuf,
    /// Write what became of each layer as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(super) report: Option<PathBuf>,
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
    /// Network: an .onnx file, demo:fashion or demo:shakespeare
    pub(super) model: String,
    /// Labelled images, arrays or text to compare on, or a demo's own
    #[arg(long, value_name = "PATH", required_unless_present = "inputs")]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Also choose the activations' splits for each batch by itself: a bound for --activation-expand-ratio; slow
    #[arg(long)]
    pub(super) oracle_ocs: bool,
    /// Write the quantized network's outputs too, one row a sample
    #[arg(long, value_name = "FILE.npy")]
    pub(super) logits: Option<PathBuf>,
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

/// `splitscope sensitivity`.
#[derive(Debug, Args)]
pub(super) struct SensitivityArguments {
    /// Network: an .onnx file, demo:fashion or demo:shakespeare
    pub(super) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on seeded noise
    #[arg(long, value_name = "PATH")]
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
}

/// `splitscope sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArguments {
    /// Network: an .onnx file, demo:fashion or demo:shakespeare
    pub(super) model: String,
    /// Images, arrays or text to judge on, or a demo's own; without, outputs are compared on seeded noise
    #[arg(long, value_name = "PATH")]
    pub(super) data: Option<String>,
    /// Use the first N samples only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Write each row as it finishes
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Keep the rows that the CSV file has already and add those that it lacks
    #[arg(long, requires = "csv")]
    pub(super) resume: bool,
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
    #[command(flatten)]
    pub(super) recipe_flags: BaseRecipeArguments,
    #[command(flatten)]
    pub(super) calibration: CalibrationArguments,
    #[command(flatten)]
    pub(super) data_flags: DataArguments,
}

/// Where the ranges of activations come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Calibration")]
pub(super) struct CalibrationArguments {
    /// Samples that show how large activations get; a demo brings its own. Without any, batch-norm statistics tell, and
    /// noise where there are none
    #[arg(long, value_name = "PATH")]
    pub(super) calibration: Option<String>,
    /// Samples of the calibration data to run
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    pub(super) calibration_limit: usize,
    /// Use no calibration data, not even a demo's own
    #[arg(long, conflicts_with = "calibration")]
    pub(super) data_free: bool,
}

/// Everything that makes a recipe.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
pub(super) struct RecipeArguments {
    /// Bits of each weight: 2 to 8, or float
    #[arg(long, value_name = "K")]
    weight_bits: Option<Bits>,
    /// Share of input channels to duplicate in each layer: 0.02 splits 2 %, rounded up
    #[arg(long, value_name = "R", value_parser = ratio)]
    expand_ratio: Option<f64>,
    /// How the largest weight kept is chosen: none, mse, aciq, aciq-2019, kl, percentile[:P], octav or manual:T
    #[arg(long, value_name = "HOW")]
    clip: Option<Clip>,
    /// Bits of each layer's input: 2 to 8, or float
    #[arg(long, value_name = "K")]
    activation_bits: Option<Bits>,
    /// Share of channels of each layer's input to halve and send twice; needs --activation-bits
    #[arg(long, value_name = "R", value_parser = ratio)]
    activation_expand_ratio: Option<f64>,
    /// How an activation becomes two: qa keeps their rounded sum, naive halves
    #[arg(long, value_name = "qa|naive", value_parser = split_kind)]
    activation_split: Option<SplitKind>,
    /// Save the recipe by this name in the configuration folder, for --preset NAME
    #[arg(long, value_name = "NAME")]
    save_preset: Option<String>,
    #[command(flatten)]
    base: BaseRecipeArguments,
}

impl RecipeArguments {
    /// The recipe that the flags ask for, not yet checked against a network.
    ///
    /// # Errors
    /// [`UsageError`] on a flag that lacks another; the recipe file's fault otherwise.
    pub(super) fn recipe(&self) -> anyhow::Result<Recipe> {
        let mut recipe = self.base.recipe()?;
        replace(&mut recipe.weight_bits, self.weight_bits);
        replace(&mut recipe.expand_ratio, self.expand_ratio);
        replace(&mut recipe.clip, self.clip);
        replace(&mut recipe.activation_bits, self.activation_bits);
        replace(&mut recipe.activation_expand_ratio, self.activation_expand_ratio);
        replace(&mut recipe.activation_split, self.activation_split);
        if self.activation_expand_ratio.is_some_and(|ratio| ratio > 0.0) && !recipe.quantizes_activations() {
            let why = "--activation-expand-ratio: inputs stay float, so there is nothing to split; give --activation-bits too";
            return Err(UsageError(why.to_owned()).into());
        }
        Ok(recipe)
    }

    /// Saves the recipe, found good for a network by now, if a name for it was given.
    pub(super) fn save(&self, recipe: &Recipe) -> anyhow::Result<()> {
        if let Some(name) = &self.save_preset {
            let presets = UserPresets::of_user().map_err(anyhow::Error::msg)?;
            let path = presets.save(name, recipe).map_err(anyhow::Error::msg)?;
            log::info!("{}: the recipe is saved", path.display());
        }
        Ok(())
    }
}

/// What a sweep holds fixed: everything of a recipe but the values that it tries.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
pub(super) struct BaseRecipeArguments {
    /// Start from a recipe file (TOML); the flags below override it
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    recipe: Option<PathBuf>,
    /// Start from a named recipe, one of the two built in or one that was saved; the flags below override it
    #[arg(long, value_name = "paper|deploy|NAME")]
    preset: Option<String>,
    /// How a weight becomes two: qa keeps their rounded sum, naive halves
    #[arg(long, value_name = "qa|naive", value_parser = split_kind)]
    split: Option<SplitKind>,
    /// How the largest activation kept is chosen, by the same names
    #[arg(long, value_name = "HOW")]
    activation_clip: Option<Clip>,
    /// One scale for each output channel instead of one for the tensor
    #[arg(long)]
    per_channel: bool,
    /// How the copies of split channels are made: gather repeats channels of a layer's input at run time, widen has the
    /// layer before compute them where it can
    #[arg(long, value_name = "gather|widen", value_parser = split_export)]
    split_export: Option<SplitExport>,
    /// Fold each batch-norm into the layer before it, first of all
    #[arg(long, overrides_with = "no_fold_batch_norm")]
    fold_batch_norm: bool,
    /// Leave batch-norms as nodes of their own
    #[arg(long, overrides_with = "fold_batch_norm")]
    no_fold_batch_norm: bool,
    /// Scale the channels between layers so that the weights of both have the same range
    #[arg(long)]
    cross_layer_equalization: bool,
    /// Take back in each bias how far rounding moves a layer's mean outputs
    #[arg(long)]
    bias_correction: bool,
    /// Leave this layer as it is; may be given again
    #[arg(long, value_name = "NAME")]
    float_layer: Vec<String>,
    /// Axis of the input channels of a tensor in a file without a graph (1 without a choice); may be given again
    #[arg(long, value_name = "NAME=AXIS", value_parser = named_axis)]
    channel_axis: Vec<(String, usize)>,
}

impl BaseRecipeArguments {
    /// The recipe that the flags ask for, not yet checked against a network.
    ///
    /// # Errors
    /// The recipe file's fault.
    pub(super) fn recipe(&self) -> anyhow::Result<Recipe> {
        let mut recipe = match (&self.recipe, &self.preset) {
            (Some(path), _) => Recipe::load(path).map_err(anyhow::Error::msg)?,
            (None, Some(name)) => preset(name).map_err(anyhow::Error::msg)?,
            (None, None) => Recipe::default(),
        };
        replace(&mut recipe.split, self.split);
        replace(&mut recipe.activation_clip, self.activation_clip);
        replace(&mut recipe.split_export, self.split_export);
        if self.fold_batch_norm || self.no_fold_batch_norm {
            recipe.fold_batch_norm = self.fold_batch_norm;
        }
        recipe.per_channel |= self.per_channel;
        recipe.cross_layer_equalization |= self.cross_layer_equalization;
        recipe.bias_correction |= self.bias_correction;
        for name in &self.float_layer {
            recipe.layers.entry(name.clone()).or_default().float = Some(true);
        }
        for (name, axis) in &self.channel_axis {
            recipe.layers.entry(name.clone()).or_default().channel_axis = Some(*axis);
        }
        Ok(recipe)
    }
}

fn replace<T: Copy>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

/// Order of an image's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImageLayout {
    /// Channels before rows and columns.
    Nchw,
    /// Channels last.
    Nhwc,
}

/// Order of an image's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// A way to resize pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Resizing {
    /// The nearest pixel.
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions.
    Bicubic,
    /// A windowed sinc.
    Lanczos,
}

impl From<Resizing> for Interpolation {
    fn from(resizing: Resizing) -> Self {
        match resizing {
            Resizing::Nearest => Self::Nearest,
            Resizing::Bilinear => Self::Bilinear,
            Resizing::Bicubic => Self::Bicubic,
            Resizing::Lanczos => Self::Lanczos,
        }
    }
}

/// What the data files do not say of themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(super) struct DataArguments {
    /// Preprocessing by name: imagenet, imagenet-bicubic, inception, minus-one-to-one, unit (0 to 1), raw (0 to 255), cifar,
    /// fashion, or network for what the network's config.json says
    #[arg(long, value_name = "NAME")]
    preprocess: Option<String>,
    /// Resize so that the shorter side has this many pixels
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    size: Option<usize>,
    /// Cut this many pixels square out of the centre
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    crop: Option<usize>,
    /// How pictures are resized
    #[arg(long, value_enum)]
    interpolation: Option<Resizing>,
    /// Mean to subtract from each channel, red first, on a scale of 0 to 1
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = finite, allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation to divide each channel by, red first, on a scale of 0 to 1
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = positive_f32)]
    std: Option<Vec<f32>>,
    /// Order of an image's axes
    #[arg(long, value_enum)]
    layout: Option<ImageLayout>,
    /// Order of an image's channels
    #[arg(long, value_enum)]
    channel_order: Option<ChannelOrder>,
    /// Names of the classes: imagenet, cifar10, cifar100, fashion, or a file of names (text or JSON)
    #[arg(long, value_name = "LIST|FILE")]
    classes: Option<String>,
    /// Labels, in a file beside the data
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// An input of the network by name, samples along its first axis; may be given again
    #[arg(long = "input", id = "inputs", value_name = "NAME=FILE.npy", value_parser = named_file)]
    inputs: Vec<(String, PathBuf)>,
    /// Characters or words of a text network and their tokens (JSON); MODEL.vocab.json is found by itself
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,
}

impl DataArguments {
    /// The options for opening a data set that is meant for `network`.
    pub(super) fn options(&self, network: &Network) -> DataOptions {
        let options = DataOptions {
            preprocess: self.preprocess.clone(),
            size: self.size,
            crop: self.crop,
            interpolation: self.interpolation.map(Interpolation::from),
            mean: self.mean.clone(),
            std: self.std.clone(),
            channels_last: self.layout.map(|layout| layout == ImageLayout::Nhwc),
            blue_first: self.channel_order == Some(ChannelOrder::Bgr),
            classes: self.classes.clone(),
            hint: None,
            labels: self.labels.clone(),
            vocabulary: self.vocab.clone(),
            inputs: self.inputs.clone(),
        };
        options.for_network(network)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a whole number from 1 on is needed".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

fn positive_f32(text: &str) -> Result<f32, String> {
    match finite(text)? {
        number if number > 0.0 => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

fn finite(text: &str) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("a number is needed".to_owned()),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err("a share from 0 to 1 is needed".to_owned()),
    }
}

/// The preset of this name: built in, or saved by the user.
fn preset(name: &str) -> Result<Recipe, String> {
    match Preset::ALL.into_iter().find(|preset| preset.name() == name) {
        Some(preset) => Ok(Recipe::preset(preset)),
        None => UserPresets::of_user().and_then(|presets| presets.load(name)),
    }
}

fn split_kind(text: &str) -> Result<SplitKind, String> {
    match text {
        "qa" => Ok(SplitKind::Qa),
        "naive" => Ok(SplitKind::Naive),
        _ => Err("a split is qa or naive".to_owned()),
    }
}

fn named_axis(text: &str) -> Result<(String, usize), String> {
    let parsed = text
        .rsplit_once('=')
        .and_then(|(name, axis)| Some((name, axis.parse().ok()?)));
    match parsed {
        Some((name, axis)) if !name.is_empty() => Ok((name.to_owned(), axis)),
        _ => Err("a channel axis is NAME=AXIS, such as conv.weight=0".to_owned()),
    }
}

fn split_export(text: &str) -> Result<SplitExport, String> {
    match text {
        "gather" => Ok(SplitExport::Gather),
        "widen" => Ok(SplitExport::Widen),
        _ => Err("copies are made by gather or widen".to_owned()),
    }
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("an input is NAME=FILE.npy".to_owned()),
    }
}

#[cfg(test)]
mod tests;
