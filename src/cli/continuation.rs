//! `splitscope continue`: how a language model goes on from a text, before and after quantization, written as it comes.

use super::UsageError;
use super::arguments::ContinueArguments;
use super::output::{lines, print, to_json};
use super::pipeline;
use crate::format::demo::Demo;
use crate::inference::{DataOptions, Dataset, QuantizedModel, Sampling, TextWriter};
use crate::progress::Progress;
use anyhow::Context;
use serde::Serialize;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    prompt: &'a str,
    /// Tokens of the prompt.
    prompt_tokens: usize,
    float: &'a Written,
    quantized: &'a Written,
    /// Tokens from the beginning that are the same.
    same_tokens: usize,
}

/// What one network wrote.
#[derive(Serialize)]
struct Written {
    text: String,
    tokens: Vec<i32>,
    /// Whether keys and values were kept, so that each token was read once.
    keeps_past: bool,
}

/// Carries the subcommand out and returns what is left to print.
pub(super) fn run(arguments: &ContinueArguments, progress: &Progress) -> anyhow::Result<String> {
    let (model, calibration, flags) = (&arguments.model, &arguments.calibration, &arguments.data_flags);
    let asked = pipeline::ask(model, &arguments.recipe_flags, calibration)?;
    let engine = pipeline::engine(&asked.original)?;
    let options: DataOptions = flags.options(&asked.original);
    let data = match Demo::from_name(model) {
        Some(demo) => Dataset::open(demo.name(), &options, engine.inputs())?,
        // Any text tells how tokens are fed; one that is long enough is the prompt twice.
        None => {
            let text = arguments.prompt.repeat(2).into_bytes();
            Dataset::from_bytes("the prompt", text, &options, engine.inputs())?
        }
    };
    let prompt = data.tokens_of(&arguments.prompt)?;
    if prompt.is_empty() {
        return Err(UsageError("--prompt: there is nothing to go on from".to_owned()).into());
    }
    let planned = pipeline::plan_asked(asked, model, (calibration, flags), None, progress)?;
    let sampling = match arguments.temperature {
        None => Sampling::Greedy,
        Some(temperature) => Sampling::Seeded {
            temperature,
            seed: arguments.seed,
        },
    };
    let write = |title: &str, writer: &TextWriter| {
        let mut shown = String::new();
        let mut tokens = Vec::new();
        let mut fault = None;
        let mut show = |text: &str| {
            if !arguments.json && fault.is_none() {
                fault = print(text).err();
            }
        };
        let answers = if data.has_source() { " → " } else { "" };
        show(&format!("{title}: {}{answers}", arguments.prompt));
        writer.continue_text(&data, &prompt, arguments.tokens, sampling, progress, |token| {
            tokens.push(token);
            let text = data.text_of(&tokens);
            // A character of several tokens is shown when it is whole.
            if let Some(new) = text.strip_prefix(&shown).filter(|new| !new.ends_with('\u{fffd}')) {
                show(new);
                shown = text;
            }
        })?;
        show("\n");
        if let Some(fault) = fault {
            return Err(fault);
        }
        anyhow::Ok(Written {
            text: data.text_of(&tokens),
            tokens,
            keeps_past: writer.keeps_past(),
        })
    };
    if !arguments.json {
        print(&lines(planned.suggestion))?;
    }
    let float = TextWriter::of(planned.original.runnable_model(), Some(engine)).context("the float network")?;
    let float = write("float", &float).context("the float network")?;
    let quantized = QuantizedModel::of(&planned.network, &planned.plan)?.into_model();
    let quantized = TextWriter::of(quantized, None).context("the quantized network")?;
    let quantized = write("quantized", &quantized).context("the quantized network")?;
    let same_tokens = (float.tokens.iter().zip(&quantized.tokens))
        .take_while(|(float, quantized)| float == quantized)
        .count();
    if arguments.json {
        return to_json(&Report {
            model,
            prompt: &arguments.prompt,
            prompt_tokens: prompt.len(),
            float: &float,
            quantized: &quantized,
            same_tokens,
        });
    }
    let count = float.tokens.len();
    let differ = (float.tokens.iter().zip(&quantized.tokens)).filter(|(float, quantized)| float != quantized);
    Ok(match differ.count() {
        0 => format!("all {count} tokens are the same\n"),
        differing => format!("diverges at token {}; {differing} of {count} differ\n", same_tokens + 1),
    })
}
