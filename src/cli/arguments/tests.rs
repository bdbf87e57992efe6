//! Tests of the flags.

use super::*;
use crate::format::demo::Demo;
use crate::network::Interpolation;

#[test]
fn the_definition_of_the_command_line_holds_together() {
    Arguments::command().debug_assert();
}

#[test]
fn means_may_be_negative_and_deviations_may_not() {
    let network = Demo::Fashion.network().unwrap();
    let parse = |words: &[&str]| {
        let words = ["splitscope", "evaluate", "m.onnx", "--data", "d"].iter().chain(words);
        match Arguments::read(words).map(|arguments| arguments.command) {
            Ok(Some(Command::Evaluate(arguments))) => Some(arguments.data_flags.options(&network)),
            _ => None,
        }
    };
    let options = parse(&["--mean", "-0.5,0.25", "--std", "0.5,2", "--layout", "nhwc"]).unwrap();
    assert_eq!(options.mean, Some(vec![-0.5, 0.25]));
    assert_eq!(options.std, Some(vec![0.5, 2.0]));
    assert_eq!(options.channels_last, Some(true));
    let options = parse(&[
        "--channel-order",
        "bgr",
        "--interpolation",
        "bicubic",
        "--classes",
        "cifar10",
    ])
    .unwrap();
    assert!(options.blue_first && options.interpolation == Some(Interpolation::Bicubic));
    assert_eq!(options.classes.as_deref(), Some("cifar10"));
    assert!(parse(&["--std", "0.5,0"]).is_none());
    assert!(parse(&["--std", "nan"]).is_none());
}

#[test]
fn inputs_stand_in_for_data_and_need_a_name() {
    let parse = |words: &[&str]| Arguments::read(["splitscope", "evaluate", "m.onnx"].iter().chain(words));
    assert!(parse(&["--input", "tokens=t.npy"]).is_ok());
    assert!(parse(&[]).is_err());
    assert!(parse(&["--input", "t.npy"]).is_err());
}

#[test]
fn every_subcommand_shows_commands_that_can_be_given() {
    for subcommand in Arguments::command().get_subcommands() {
        let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  splitscope ")).collect();
        assert!(examples.len() >= 2, "{}", subcommand.get_name());
        for example in examples {
            // What a shell does with the output is its own affair.
            let words = example.split(['>', '|']).next().unwrap_or_default().split_whitespace();
            let parsed = Arguments::read(words);
            assert!(parsed.is_ok(), "{example}: {:?}", parsed.err());
            assert!(example.chars().count() <= 110, "{example}: is broken into two lines");
        }
    }
}

#[test]
fn the_number_of_threads_stands_anywhere_and_is_at_least_one() {
    let threads = |words: &[&str]| {
        let parsed = Arguments::read(["splitscope"].iter().chain(words));
        parsed.map(|arguments| arguments.threads)
    };
    assert_eq!(threads(&["inspect", "m.onnx", "--threads", "3"]).unwrap(), Some(3));
    assert_eq!(threads(&["--threads", "3", "inspect", "m.onnx"]).unwrap(), Some(3));
    assert_eq!(threads(&["m.onnx", "--threads", "2"]).unwrap(), Some(2));
    assert_eq!(threads(&["m.onnx"]).unwrap(), None);
    assert!(threads(&["inspect", "m.onnx", "--threads", "0"]).is_err());
    // Nothing else of the window stands with a subcommand.
    assert!(threads(&["--data", "d", "inspect", "m.onnx"]).is_err());
    assert!(threads(&["m.onnx", "inspect", "m.onnx"]).is_err());
}
