//! The view of changed answers, driven through its labels: classes, verdicts, samples; of text the losses and how it goes on.

use crate::common::judged::{segmentation, sentence_encoder};
use crate::common::single_output::with_a_single_output;
use crate::harness::{Window, builder, click, open_text, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use splitscope::inference::{ChangedAnswers, DataOptions, Score, metrics};
use splitscope::session::Action;

fn changed(window: &Window) -> ChangedAnswers {
    let open = session(window).open().unwrap();
    open.evaluated().unwrap().1.preview.answers.clone()
}

#[test]
fn a_click_on_a_cell_shows_its_samples_and_a_verdict_those_that_broke() {
    let mut window = open_with(builder(), "demo:fashion", 200);
    click(&mut window, "Answers");
    let found = changed(&window);
    let verdicts = found.verdicts.unwrap();
    assert!(verdicts.broken > 10 && found.cells.len() > 3, "{verdicts:?}");
    window.get_by_label(&format!("{} of 200 first answers changed", found.count()));

    let first = &found.cells[0];
    let name = |class: usize| {
        session(&window)
            .open()
            .unwrap()
            .data()
            .unwrap()
            .class_name(class)
            .unwrap()
            .to_owned()
    };
    let pair = format!("{} → {}", name(first.from), name(first.to));
    let samples = first.samples.len();
    let noun = if samples == 1 { "sample" } else { "samples" };
    let cell = format!("{pair}: {samples} {noun}");
    window.get_by_role_and_label(Role::Button, &cell).click();
    settle(&mut window);
    // Above the samples stands what they are.
    assert!(window.query_by_role_and_label(Role::Label, &cell).is_some());
    click(&mut window, "show all");

    click(&mut window, &format!("{} right → wrong", verdicts.broken));
    window.get_by_label(&format!("all changes: {} samples", verdicts.broken));
}

#[test]
fn without_labels_nobody_says_what_is_right() {
    let mut window = open_with(builder(), "demo:fashion", 60);
    window.state_mut().act(Action::UseNoise);
    settle(&mut window);
    click(&mut window, "Answers");
    assert!(texts(&window, "right → wrong").is_empty());
    assert_eq!(texts(&window, "no labels").len(), 1);
}

#[test]
fn a_single_number_is_no_class_and_is_judged_by_how_far_it_moves() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open_with(builder(), with_a_single_output(folder.path()).to_str().unwrap(), 60);
    window.state_mut().act(Action::UseNoise);
    settle(&mut window);
    let open = session(&window).open().unwrap();
    let evaluated = open.evaluated().unwrap().1;
    assert_eq!(evaluated.preview.changed, 0);
    let sqnr = evaluated.evaluation.sqnr_db.unwrap();
    assert!(sqnr < 60.0, "4 bits move the output: {sqnr}");
    assert_eq!(texts(&window, &format!("output SQNR {sqnr:.1} dB")).len(), 1);
    assert!(texts(&window, "agreement").is_empty() && texts(&window, "answers changed").is_empty());
    // The numbers themselves, before and after.
    let outputs = open.float_outputs().unwrap();
    assert!(!outputs.classification && outputs.classes == 1);
    assert!(!texts(&window, "float network: output ").is_empty() && !texts(&window, "this recipe: output ").is_empty());
    click(&mut window, "Answers");
    assert_eq!(texts(&window, "no first answer to change").len(), 1);
    // Labels of classes say nothing of a number, and that is told.
    assert!(texts(&window, "labels not used").is_empty());
    window.state_mut().act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions::default(),
    });
    settle(&mut window);
    assert_eq!(texts(&window, "labels not used").len(), 1);
}

/// Pairs of sentences and maps of classes stand where right answers would: float and recipe beside each other, by the numbers that
/// `evaluate` prints.
#[test]
fn pairs_and_maps_are_judged_by_their_own_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (maps_network, maps) = segmentation(folder.path());
    let (encoder, pairs) = sentence_encoder();
    for (network, data, score) in [
        (maps_network.as_path(), &maps, Score::MeanIou),
        (encoder.path(), &pairs, Score::Pearson),
    ] {
        let mut window = open_with(builder(), network.to_str().unwrap(), 60);
        window.state_mut().act(Action::OpenData {
            path: data.to_str().unwrap().to_owned(),
            options: DataOptions::default(),
        });
        settle(&mut window);
        let open = session(&window).open().unwrap();
        let (_, evaluated) = open.evaluated().unwrap();
        let found = &evaluated.evaluation;
        // What `evaluate` tells of the same outputs.
        let data = open.data().unwrap();
        assert_eq!(found.float, metrics(open.float_outputs().unwrap(), data));
        assert_eq!(found.quantized, metrics(&evaluated.preview.quantized, data));
        let [float, quantized] = [&found.float, &found.quantized].map(|of| score.of(of).unwrap());
        assert!(
            (float - quantized).abs() > 1e-4,
            "{score:?}: the recipe changes something"
        );
        let name = score.name();
        window.get_by_label(&format!("float {name} {}", score.show(float)));
        window.get_by_label(&format!("this recipe {}", score.show(quantized)));
        assert!(texts(&window, "output SQNR").is_empty() && texts(&window, "answers changed").is_empty());
        let beside = match found.float.spearman {
            Some(before) => format!(
                "Spearman {before:.4} → {:.4} · on 12 samples",
                found.quantized.spearman.unwrap()
            ),
            None => "pixels right ".to_owned(),
        };
        assert_eq!(texts(&window, &beside).len(), 1, "{beside}");
    }
}

#[test]
fn each_character_of_a_text_tells_its_loss() {
    let mut window = open_text(300);
    click(&mut window, "Answers");
    click(&mut window, "loss per character");
    let open = session(&window).open().unwrap();
    let losses = open.evaluated().unwrap().1.preview.losses.clone().unwrap();
    assert_eq!(losses.float.len(), 300);
    let data = open.data().unwrap().clone();
    let lines = texts(&window, "Text: ");
    assert!(lines.len() > 3, "{lines:?}");
    // The lines hold what was predicted, from its beginning.
    let shown: String = lines.iter().map(|line| &line[6..]).collect();
    let start: String = (0..8)
        .filter_map(|sample| data.class_name(data.label(sample)?))
        .collect();
    assert!(shown.starts_with(&start.replace('\n', "↵")), "{shown:?} {start:?}");

    // The first character of the longest line: as many come before it as the lines above hold.
    let place = (0..lines.len()).max_by_key(|line| lines[*line].len()).unwrap();
    let sample: usize = lines[..place].iter().map(|line| line[6..].chars().count()).sum();
    let line = window.get_by_label(&lines[place]).rect();
    window.hover_at(line.left_center() + egui::vec2(3.0, 0.0));
    window.run_steps(60);
    let difference = format!("{:+.2} nats", losses.difference(sample).unwrap()).replace('-', "−");
    let told = texts(&window, &format!("character {}\n", sample + 1));
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with(&difference), "{told:?} {difference}");
}

#[test]
fn both_networks_go_on_from_what_is_typed() {
    let mut window = open_text(200);
    click(&mut window, "Answers");
    assert!(session(&window).open().unwrap().prompt().is_none(), "nobody looks");
    click(&mut window, "continuation");
    let open = session(&window).open().unwrap();
    assert!(!open.float_text().rows().is_empty());
    let written = open.float_text().rows().concat();
    window.get_by_label(&format!("float writes: {written}"));

    let write = |window: &mut Window, text: &str| {
        window
            .get_by_role_and_label(Role::MultilineTextInput, "Go on from")
            .focus();
        window.run_steps(2);
        window.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
        window
            .get_by_role_and_label(Role::MultilineTextInput, "Go on from")
            .type_text(text);
        settle(window);
    };
    write(&mut window, "ROMEO: é");
    assert_eq!(texts(&window, "vocabulary has no 'é'").len(), 1);
    write(&mut window, "ROMEO:");
    let open = session(&window).open().unwrap();
    assert_eq!(open.prompt().unwrap().text, "ROMEO:");
    assert!(open.continuation_is_current());
    // Both stand beside each other, with ground between.
    let right_of = |name: &str| window.get_by_label(&texts(&window, name)[0]).rect().right();
    let left_of = |name: &str| window.get_by_label(&texts(&window, name)[0]).rect().left();
    assert!(right_of("float writes: ") + 8.0 <= left_of("this recipe writes: "));
    click(&mut window, "sampled");
    let greedy = written;
    let drawn = session(&window).open().unwrap().float_text().rows().concat();
    assert_ne!(drawn, greedy);
}

#[test]
fn a_picture_that_is_dropped_in_shows_both_answers_until_it_is_forgotten() {
    let mut window = open_with(builder(), "demo:fashion", 60);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boot.png");
    image::ImageBuffer::from_fn(40, 40, |x, y| image::Luma([if x + y > 40 { 200_u8 } else { 0 }]))
        .save(&path)
        .unwrap();
    window.input_mut().dropped_files.push(crate::harness::dropped(&path));
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().trials().all().len(), 1);
    assert!(!texts(&window, "boot.png").is_empty());
    click(&mut window, "Forget boot.png");
    assert!(session(&window).open().unwrap().trials().all().is_empty());
    assert!(texts(&window, "boot.png").is_empty());
}
