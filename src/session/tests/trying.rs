//! What a person tries by hand: a text to go on from, pictures that are dropped in, an export opened again.

use super::*;
use crate::inference::{Sampling, continue_text};
use crate::progress::Progress;
use std::path::Path;

fn wait(session: &mut Session) {
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
}

fn text_session() -> Session {
    let saved = Saved {
        token_limit: Some(200),
        ..Saved::default()
    };
    open_in(Session::new(Waker::none(), saved), "demo:shakespeare")
}

fn prompt(text: &str) -> Prompt {
    Prompt {
        text: text.to_owned(),
        count: 12,
        sampling: Sampling::Greedy,
    }
}

fn texts(session: &Session) -> (String, String) {
    let open = session.open().unwrap();
    (open.float_text().rows().concat(), open.quantized_text().rows().concat())
}

#[test]
fn both_networks_go_on_from_a_text_while_that_is_in_sight_and_follow_the_recipe() {
    let mut session = text_session();
    session.act(Action::Continue(prompt("KING RICHARD:\n")));
    wait(&mut session);
    assert_eq!(texts(&session), (String::new(), String::new()), "nobody looks");
    session.act(Action::Watch(Watched {
        continuation: true,
        ..Watched::default()
    }));
    wait(&mut session);
    let (float, quantized) = texts(&session);
    assert_eq!((float.chars().count(), quantized.chars().count()), (12, 12));
    assert!(session.open().unwrap().continuation_is_current());

    let engine = crate::inference::Rten::load(Demo::Shakespeare.model_bytes().to_vec()).unwrap();
    let data = crate::inference::Dataset::demo(Demo::Shakespeare);
    let tokens = data.tokens_of("KING RICHARD:\n").unwrap();
    let direct = continue_text(
        &engine,
        &data,
        &tokens,
        12,
        Sampling::Greedy,
        &Progress::default(),
        |_| (),
    )
    .unwrap();
    let direct: String = direct.iter().filter_map(|token| data.token_text(*token)).collect();
    assert_eq!(float, direct);

    // In float all through, both write the same.
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Float);
    wait(&mut session);
    let (again, quantized) = texts(&session);
    assert_eq!((again.as_str(), quantized.as_str()), (direct.as_str(), direct.as_str()));
}

#[test]
fn a_character_without_a_token_is_named_and_another_prompt_helps() {
    let mut session = text_session();
    session.act(Action::Watch(Watched {
        continuation: true,
        ..Watched::default()
    }));
    session.act(Action::Continue(prompt("Ünter")));
    wait(&mut session);
    let failure = session.open().unwrap().float_text().last_failure().unwrap().to_string();
    assert!(failure.contains("'Ü'"), "{failure}");
    session.act(Action::Continue(prompt("Unter")));
    wait(&mut session);
    assert_eq!(texts(&session).0.chars().count(), 12);
}

/// The first test picture, enlarged fourfold, as a file.
fn picture(folder: &Path, name: &str) -> PathBuf {
    let data = crate::inference::Dataset::demo(Demo::Fashion);
    let (width, _, rgb) = data.thumbnail(0).unwrap();
    let pixel = |x: u32, y: u32| {
        let at = ((y / 4) as usize * width + (x / 4) as usize) * 3;
        image::Rgb([rgb[at], rgb[at + 1], rgb[at + 2]])
    };
    let path = folder.join(name);
    image::ImageBuffer::from_fn(4 * width as u32, 4 * width as u32, pixel)
        .save(&path)
        .unwrap();
    path
}

#[test]
fn a_dropped_picture_is_run_by_both_networks_and_again_under_each_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open("demo:fashion");
    session.act(Action::TryPicture(picture(folder.path(), "one.png")));
    session.act(Action::TryPicture(picture(folder.path(), "two.png")));
    wait(&mut session);
    let open = session.open().unwrap();
    let names: Vec<_> = open
        .trials()
        .all()
        .iter()
        .map(|trial| trial.path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["two.png", "one.png"]);
    let label = open.data().unwrap().label(0).unwrap();
    let trial = &open.trials().all()[0];
    assert_eq!(
        answers(&trial.float, 0, 1)[0].class,
        label,
        "it is a sample of the test data"
    );
    let before = open.trial_answers().unwrap()[0].logits.clone();
    assert_eq!(before.len(), 10);

    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.1);
    wait(&mut session);
    let open = session.open().unwrap();
    assert_ne!(open.trial_answers().unwrap()[0].logits, before);

    session.act(Action::ForgetPicture(folder.path().join("two.png")));
    wait(&mut session);
    let open = session.open().unwrap();
    assert_eq!((open.trials().all().len(), open.trial_answers().unwrap().len()), (1, 1));
}

#[test]
fn pictures_are_read_again_when_the_data_are_read_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open("demo:fashion");
    session.act(Action::TryPicture(picture(folder.path(), "one.png")));
    wait(&mut session);
    let float = |session: &Session| session.open().unwrap().trials().all()[0].float.logits.clone();
    let before = float(&session);
    session.act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions {
            preprocess: Some("raw".to_owned()),
            ..DataOptions::default()
        },
    });
    wait(&mut session);
    assert_ne!(float(&session), before);
    assert!(
        session.open().unwrap().trials().all()[0]
            .data
            .preprocessing()
            .starts_with("raw")
    );
}

#[test]
fn a_broken_picture_is_told_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, b"no picture").unwrap();
    let mut session = open("demo:fashion");
    session.act(Action::TryPicture(picture(folder.path(), "one.png")));
    session.act(Action::TryPicture(broken));
    wait(&mut session);
    assert_eq!(session.open().unwrap().trials().all().len(), 1);
    let told = errors(&session);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("broken.png"), "{told:?}");
}

#[test]
fn an_export_opened_again_shows_its_integers_and_offers_its_recipe_to_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("three.onnx");
    let mut session = open("demo:fashion");
    assert!(session.open().unwrap().embedded_recipe().is_none());
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    wait(&mut session);
    let made = session.open().unwrap().recipe().clone();
    session.act(Action::Export {
        kind: ExportKind::Onnx,
        path: path.clone(),
    });
    wait(&mut session);
    session.act(Action::Open(path));
    wait(&mut session);
    assert_eq!(errors(&session), [""; 0]);
    let open = session.open().unwrap();
    assert_eq!(
        open.embedded_recipe().and_then(|recipe| recipe.as_ref().ok()),
        Some(&made)
    );
    let second = open.original.network.layer_index("layer1.0.conv1").unwrap();
    session.act(Action::SelectLayer(second));
    wait(&mut session);
    let integers = session.open().unwrap().details().unwrap().1.integers.clone().unwrap();
    assert_eq!(
        (integers.element_type.as_str(), integers.bits_in_use()),
        ("int4", Some(3))
    );

    session.act(Action::CarryRecipe);
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    wait(&mut session);
    assert_eq!(*session.open().unwrap().recipe(), made);
}
