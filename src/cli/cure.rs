//! `splitscope cure`: why the worst layers lose accuracy, and fixes that were run.

use super::arguments::CureArguments;
use super::output::{Table, check_place, lines, to_json};
use super::pipeline::{self, Asked};
use crate::inference::auto::Budget;
use crate::inference::sweep::SweepSubject;
use crate::inference::{
    self, Cause, Cure, Evaluation, Examination, Mended, Metrics, Score, TriedFix, mend, run_outputs, worst_layers,
};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Recipe;
use anyhow::{Context, bail};
use serde::Serialize;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    data: &'a str,
    samples: usize,
    /// What a person should know of the data.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    recipe: &'a Recipe,
    float: &'a Metrics,
    layers: Vec<LayerReport<'a>>,
    /// Bytes that the fixes may add.
    within_bytes: u64,
    mended: &'a Mended,
}

#[derive(Serialize)]
struct LayerReport<'a> {
    /// The main cause in a few words, and in a sentence.
    cause: &'static str,
    why: String,
    #[serde(flatten)]
    cure: &'a Cure,
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &CureArguments, progress: &Progress) -> anyhow::Result<String> {
    let model = &arguments.model;
    arguments.output.as_deref().map(check_place).transpose()?;
    let Asked {
        original,
        recipe,
        suggestion,
    } = pipeline::ask(model, &arguments.recipe_flags, &arguments.calibration)?;
    let network = pipeline::prepared(
        model,
        &original,
        &recipe,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let named = named_layers(&network, &arguments.layers)?;
    let engine = pipeline::engine(&original)?;
    let (limit, flags) = (arguments.limit, &arguments.data_flags);
    let given = arguments.data.as_deref();
    let data = pipeline::data_or_made_up(given, Some(limit), flags, (&original, &engine), progress)?;
    let data = pipeline::judged(data, arguments.answer.network_output.as_ref(), &engine)?;
    let activations = pipeline::needed_activations(model, &recipe, &network, &arguments.calibration, flags, progress)?;
    let float = run_outputs(&engine, &data, limit.min(data.len()), progress).context("the float network")?;
    let subject = SweepSubject {
        network: &network,
        activations: activations.as_ref(),
        shapes: None,
        data: &data,
        float: &float,
    };
    let examination = Examination::new(&subject, &recipe, progress)?;
    let layers = if named.is_empty() {
        let rows = examination.layers(&progress.part())?;
        let worst = worst_layers(&rows, arguments.worst);
        worst.into_iter().map(|place| rows[place].layer).collect()
    } else {
        named
    };
    progress.start(layers.len() as u64, "Trying fixes");
    let mut cures = Vec::with_capacity(layers.len());
    for layer in layers {
        progress.stage_is(format!("Trying fixes of {}", network.layers[layer].name));
        cures.extend(examination.cure(layer, &progress.part())?);
        progress.advance(1);
    }
    let within = match arguments.within {
        Budget::Overhead(share) => (share.max(0.0) * examination.bytes() as f64) as u64,
        Budget::Bytes(bytes) => bytes,
    };
    let mended = mend(&subject, &recipe, &cures, within, progress)?;
    if let Some(path) = &arguments.output {
        mended.recipe.save(path).map_err(anyhow::Error::msg)?;
    }
    let metrics = inference::metrics(&float, &data);
    if arguments.json {
        return to_json(&Report {
            model,
            data: data.name(),
            notes: data.notes(),
            samples: float.samples,
            recipe: &recipe,
            float: &metrics,
            layers: cures.iter().map(LayerReport::of).collect(),
            within_bytes: within,
            mended: &mended,
        });
    }
    let unit = if data.is_text() { "tokens" } else { "samples" };
    let head = format!(
        "{}{} · {} {unit} · {}\n",
        lines(suggestion),
        data.name(),
        float.samples,
        data.preprocessing()
    );
    let tables: Vec<String> = cures.iter().map(table).collect();
    let none = if cures.is_empty() {
        "no layer is quantized: nothing to mend\n"
    } else {
        ""
    };
    Ok(format!(
        "{head}{}\n{none}{}{}",
        lines(data.notes()),
        tables.join("\n"),
        summary(&mended)
    ))
}

/// Positions of the layers of these names.
fn named_layers(network: &Network, names: &[String]) -> anyhow::Result<Vec<usize>> {
    let mut layers = Vec::new();
    for name in names {
        let Some(layer) = network.layer_index(name) else {
            bail!(
                "there is no layer '{name}' in {}; inspect lists the layers",
                network.name
            );
        };
        layers.push(layer);
    }
    Ok(layers)
}

impl<'a> LayerReport<'a> {
    fn of(cure: &'a Cure) -> Self {
        let cause = cure.causes.first();
        Self {
            cause: cause.map_or("", Cause::name),
            why: cause.map(Cause::to_string).unwrap_or_default(),
            cure,
        }
    }
}

/// One layer: its causes and the fixes in the order of their bytes.
fn table(cure: &Cure) -> String {
    let main = cure.causes.first().map_or("", Cause::name);
    let why: Vec<String> = cure.causes.iter().map(Cause::to_string).collect();
    let mut shown = Table::new(&["fix", "outputs dB", "wins dB", won_title(cure), "bytes", ""]);
    shown.row(vec![
        "as it is".to_owned(),
        decibels(cure.before.sqnr_db.unwrap_or(f64::INFINITY)),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    for (place, tried) in cure.fixes.iter().enumerate() {
        shown.row(vec![
            tried.text.clone(),
            decibels(tried.sqnr_db),
            signed_decibels(tried.gain_db),
            won(tried),
            format!("{:+}", tried.bytes_added),
            if cure.recommended == Some(place) { "take" } else { "" }.to_owned(),
        ]);
    }
    format!(
        "{}: {main}\n{}{}",
        lines([cure.before.name.as_str()]).trim_end(),
        lines(why),
        shown.text()
    )
}

fn won_title(cure: &Cure) -> &'static str {
    match cure.fixes.first() {
        Some(TriedFix {
            points_won: Some(_), ..
        }) => "wins points",
        Some(TriedFix {
            perplexity_won: Some(_),
            ..
        }) => "wins perplexity",
        _ => "",
    }
}

fn won(tried: &TriedFix) -> String {
    let won = tried.points_won.or(tried.perplexity_won);
    won.map_or_else(String::new, |won| format!("{won:+.2}"))
}

fn decibels(db: f64) -> String {
    if db.is_finite() {
        format!("{db:.1}")
    } else {
        "exact".to_owned()
    }
}

fn signed_decibels(db: f64) -> String {
    if db.is_finite() {
        format!("{db:+.1}")
    } else {
        "all".to_owned()
    }
}

/// What the chosen fixes do together.
fn summary(mended: &Mended) -> String {
    let fixes: Vec<String> = mended
        .fixes
        .iter()
        .map(|fix| format!("  {}: {} ({:+} bytes)", fix.name, fix.text, fix.bytes_added))
        .collect();
    let score = |evaluation: &Evaluation| {
        let (metrics, db) = (&evaluation.quantized, evaluation.sqnr_db.unwrap_or(f64::INFINITY));
        let judged_by = Score::of_metrics(metrics);
        let told = judged_by.of(metrics).map_or_else(String::new, |value| {
            format!("{} {}, ", judged_by.name(), judged_by.show_with_unit(value))
        });
        let unit = if db.is_finite() { " dB" } else { "" };
        format!("{told}{}{unit}", decibels(db))
    };
    format!(
        "\nthe whole network\n  as it is: {}, {} bytes\n  mended:   {}, {} bytes\n{}",
        score(&mended.before),
        mended.bytes.0,
        score(&mended.after),
        mended.bytes.1,
        lines(fixes)
    )
}
