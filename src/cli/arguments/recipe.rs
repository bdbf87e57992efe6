//! The flags that make a recipe.

use super::values::{named_axis, ratio, split_export, split_kind};
use crate::cli::UsageError;
use crate::quantization::{Bits, Clip, Preset, Recipe, SplitExport, SplitKind, UserPresets};
use clap::Args;
use std::path::PathBuf;

/// Everything that makes a recipe.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
pub(in crate::cli) struct RecipeArguments {
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
    pub(in crate::cli) fn recipe(&self) -> anyhow::Result<Recipe> {
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
    pub(in crate::cli) fn save(&self, recipe: &Recipe) -> anyhow::Result<()> {
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
pub(in crate::cli) struct BaseRecipeArguments {
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
    pub(in crate::cli) fn recipe(&self) -> anyhow::Result<Recipe> {
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

/// The preset of this name: built in, or saved by the user.
fn preset(name: &str) -> Result<Recipe, String> {
    match Preset::ALL.into_iter().find(|preset| preset.name() == name) {
        Some(preset) => Ok(Recipe::preset(preset)),
        None => UserPresets::of_user().and_then(|presets| presets.load(name)),
    }
}
