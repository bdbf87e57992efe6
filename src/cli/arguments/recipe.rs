//! The flags that make a recipe: one for each field of [`FIELDS`], and those that a recipe file says in another way.

use super::values::named_axis;
use crate::cli::UsageError;
use crate::cli::pipeline::note;
use crate::quantization::{
    Bits, FIELDS, Field, Granularity, Lacking, Preset, PresetError, Recipe, SplitKind, UserPresets,
};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::path::PathBuf;

/// Help heading of all of them.
const HEADING: &str = "Recipe";

/// Everything that makes a recipe.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
pub(in crate::cli) struct RecipeArguments {
    #[command(flatten)]
    fields: FieldFlags<AllFields>,
    /// Save the recipe by this name in the configuration folder, for --preset NAME
    #[arg(long, value_name = "NAME")]
    save_preset: Option<String>,
    #[command(flatten)]
    base: Start,
}

impl RecipeArguments {
    /// Whether nothing was chosen.
    pub(in crate::cli) fn are_empty(&self) -> bool {
        self.fields.given.is_empty() && self.base.is_empty()
    }

    /// The recipe that the flags ask for, not yet checked against a network; a preset is taken as it is best `with_data` to
    /// calibrate on or without.
    ///
    /// # Errors
    /// [`UsageError`] on a flag that lacks another; the recipe file's fault otherwise.
    pub(in crate::cli) fn recipe(&self, with_data: bool) -> anyhow::Result<Recipe> {
        let mut recipe = self.base.recipe(with_data)?;
        self.fields.set(&mut recipe)?;
        self.refuse_without_effect(&mut recipe)?;
        Ok(recipe)
    }

    /// Refuses a field that nothing can come of. What only a preset says of it, and the flags do not, is left out: who takes
    /// the preset for float weights does not ask for its rounding.
    fn refuse_without_effect(&self, recipe: &mut Recipe) -> anyhow::Result<()> {
        if self.fields.given("split") && recipe.split == SplitKind::Qa && recipe.weight_bits == Bits::Float {
            let why = "--split qa: there is no grid to be aware of (weight_bits is float); give --split naive";
            return Err(UsageError(why.to_owned()).into());
        }
        let mut left_out = Vec::new();
        for found in recipe.without_effect() {
            let flag = self.fields.given(found.field) && found.layer.is_none();
            if flag {
                let needed = match found.lacks {
                    Lacking::WeightBits => "--weight-bits K",
                    Lacking::ActivationBits => "--activation-bits K",
                    Lacking::InputsLookedAt => "--rounding gptq or --bias-correction",
                };
                let flag = found.field.replace('_', "-");
                return Err(UsageError(format!("--{flag}: {found}; give {needed} too")).into());
            }
            match Field::named(found.field) {
                Some(field) if self.base.preset.is_some() && found.layer.is_none() => {
                    field.copy(&Recipe::default(), recipe);
                    left_out.push(found.field);
                }
                _ => anyhow::bail!("recipe: {found}"),
            }
        }
        if let (Some(preset), false) = (&self.base.preset, left_out.is_empty()) {
            note(&format!(
                "the preset {preset} is taken without {}: nothing could come of it",
                left_out.join(", ")
            ));
        }
        Ok(())
    }

    /// Saves the recipe, found good for a network by now, if a name for it was given.
    pub(in crate::cli) fn save(&self, recipe: &Recipe) -> anyhow::Result<()> {
        if let Some(name) = &self.save_preset {
            let presets = UserPresets::of_user()?;
            let path = presets.save(name, recipe)?;
            log::info!("{}: the recipe is saved", path.display());
        }
        Ok(())
    }
}

/// What a sweep holds fixed: everything of a recipe but the values that it tries.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
pub(in crate::cli) struct BaseRecipeArguments {
    #[command(flatten)]
    fields: FieldFlags<FixedInSweep>,
    #[command(flatten)]
    base: Start,
}

impl BaseRecipeArguments {
    /// The recipe that the flags ask for, as [`RecipeArguments::recipe`].
    ///
    /// # Errors
    /// The recipe file's fault.
    pub(in crate::cli) fn recipe(&self, with_data: bool) -> anyhow::Result<Recipe> {
        let mut recipe = self.base.recipe(with_data)?;
        self.fields.set(&mut recipe)?;
        Ok(recipe)
    }
}

/// Where a recipe starts, and what it says of single layers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
struct Start {
    /// Start from a recipe file (TOML); the other flags override it
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    recipe: Option<PathBuf>,
    /// Start from a named recipe, one of those built in or one that was saved; the other flags override it
    #[arg(long, value_name = "paper|deploy|int8|int4|NAME")]
    preset: Option<String>,
    /// Leave this layer as it is; may be given again
    #[arg(long, value_name = "NAME")]
    float_layer: Vec<String>,
    /// Axis of the input channels of a tensor in a file without a graph (1 without a choice); may be given again
    #[arg(long, value_name = "NAME=AXIS", value_parser = named_axis)]
    channel_axis: Vec<(String, usize)>,
}

impl Start {
    fn is_empty(&self) -> bool {
        let Self {
            recipe,
            preset,
            float_layer,
            channel_axis,
        } = self;
        recipe.is_none() && preset.is_none() && float_layer.is_empty() && channel_axis.is_empty()
    }

    fn recipe(&self, with_data: bool) -> anyhow::Result<Recipe> {
        let mut recipe = match (&self.recipe, &self.preset) {
            (Some(path), _) => Recipe::load(path)?,
            (None, Some(name)) => preset(name, with_data)?,
            (None, None) => Recipe::default(),
        };
        for name in &self.float_layer {
            recipe.layers.entry(name.clone()).or_default().float = Some(true);
        }
        for (name, axis) in &self.channel_axis {
            recipe.layers.entry(name.clone()).or_default().channel_axis = Some(*axis);
        }
        Ok(recipe)
    }
}

/// The preset of this name: built in, or saved by the user.
fn preset(name: &str, with_data: bool) -> Result<Recipe, PresetError> {
    match Preset::ALL.into_iter().find(|preset| preset.name() == name) {
        Some(preset) => Ok(Recipe::preset_for(preset, with_data)),
        None => UserPresets::of_user().and_then(|presets| presets.load(name)),
    }
}

/// Which fields have a flag.
trait Flags: std::fmt::Debug + Clone + Send + Sync + 'static {
    fn has(field: &Field) -> bool;
}

/// Every field.
#[derive(Debug, Clone)]
struct AllFields;

impl Flags for AllFields {
    fn has(_: &Field) -> bool {
        true
    }
}

/// The fields that are no axis of a sweep: of those it takes lists.
#[derive(Debug, Clone)]
struct FixedInSweep;

impl Flags for FixedInSweep {
    fn has(field: &Field) -> bool {
        let axes = [
            "weight_bits",
            "expand_ratio",
            "clip",
            "activation_bits",
            "scales",
            "rounding",
            "weight_zero_points",
        ];
        let of_activation_splits = ["activation_expand_ratio", "activation_split"];
        !axes.contains(&field.name) && !of_activation_splits.contains(&field.name)
    }
}

/// The flags of fields as they were given: name of the field and its text.
#[derive(Debug)]
struct FieldFlags<F> {
    given: Vec<(&'static str, String)>,
    which: std::marker::PhantomData<F>,
}

/// The flag that scales per channel had before there were blocks.
const PER_CHANNEL: &str = "per_channel";

impl<F: Flags> FieldFlags<F> {
    fn given(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// Sets what was given.
    ///
    /// # Errors
    /// [`UsageError`] of a text that is no value; clap has refused those already.
    fn set(&self, recipe: &mut Recipe) -> anyhow::Result<()> {
        for (name, text) in &self.given {
            if let Some(field) = Field::named(name) {
                field.set(recipe, text).map_err(|error| UsageError(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl<F: Flags> Args for FieldFlags<F> {
    fn augment_args(command: Command) -> Command {
        let fields = FIELDS.iter().filter(|field| F::has(field));
        let command = fields.fold(command, |command, field| match field.is_switch() {
            true => with_switch(command, field),
            false => command.arg(with_value(field)),
        });
        let alias = Arg::new(PER_CHANNEL)
            .long("per-channel")
            .action(ArgAction::SetTrue)
            .conflicts_with("scales")
            .help("One scale for each output channel instead of one for the tensor: --scales channel")
            .help_heading(HEADING);
        command.arg(alias)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<F: Flags> FromArgMatches for FieldFlags<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for field in FIELDS.iter().filter(|field| F::has(field)) {
            if !field.is_switch() {
                if let Some(text) = matches.get_one::<String>(field.name) {
                    given.push((field.name, text.clone()));
                }
            } else if matches.get_flag(field.name) {
                given.push((field.name, true.to_string()));
            } else if matches.get_flag(&negated(field)) {
                given.push((field.name, false.to_string()));
            }
        }
        if matches.get_flag(PER_CHANNEL) {
            given.push(("scales", Granularity::Channel.to_string()));
        }
        Ok(Self {
            given,
            which: std::marker::PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn with_value(field: &'static Field) -> Arg {
    Arg::new(field.name)
        .long(field.flag())
        .value_name(field.value_name)
        .help(field.flag_help)
        .help_heading(HEADING)
        .value_parser(move |text: &str| match field.set(&mut Recipe::default(), text) {
            Ok(()) => Ok(text.to_owned()),
            Err(why) => Err(why),
        })
}

/// A flag for yes and one for no: a recipe that is started from may say either.
fn with_switch(command: Command, field: &'static Field) -> Command {
    let no = negated(field);
    let yes = Arg::new(field.name)
        .long(field.flag())
        .action(ArgAction::SetTrue)
        .overrides_with(no.clone())
        .help(field.flag_help)
        .help_heading(HEADING);
    let negation = Arg::new(no.clone())
        .long(no.replace('_', "-"))
        .action(ArgAction::SetTrue)
        .overrides_with(field.name)
        .help(format!("The opposite of --{}", field.flag()))
        .hide_short_help(true)
        .help_heading(HEADING);
    command.arg(yes).arg(negation)
}

fn negated(field: &Field) -> String {
    format!("no_{}", field.name)
}
