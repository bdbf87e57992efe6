//! Whatever was cancelled or has failed can be tried again.

use super::*;
use crate::inference::DataOptions;

/// Cancels the job of that kind as soon as there is one.
fn cancel(session: &mut Session, kind: Kind) {
    let started = Instant::now();
    let job = loop {
        if let Some(job) = session.job(kind) {
            break job;
        }
        assert!(
            started.elapsed() < LIMIT && !session.is_idle(),
            "no {kind:?}: {:?}",
            session.messages()
        );
        std::thread::sleep(Duration::from_millis(1));
        session.poll();
    };
    session.act(Action::Cancel(job.id));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    let last = session.messages().last().unwrap();
    assert_eq!(
        (&last.event, last.level),
        (&Event::Cancelled(kind), Level::Info),
        "no red error"
    );
}

fn retry(session: &mut Session) {
    session.act(Action::Retry);
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
}

#[test]
fn a_cancelled_count_of_outliers_is_done_when_it_is_retried() {
    let mut session = open("demo:fashion");
    let count = |session: &Session| {
        let layers = session.open().unwrap().shown().layers.clone();
        layers.iter().map(|facts| facts.outliers).sum::<u64>()
    };
    let before = count(&session);
    session.act(Action::SetSigma(2.0));
    cancel(&mut session, Kind::Recount);
    assert_eq!(count(&session), before);
    session.act(Action::SelectLayer(3));
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(count(&session), before, "not before somebody asks");
    retry(&mut session);
    assert!(count(&session) > before);
}

#[test]
fn cancelled_suggestions_come_when_they_are_retried() {
    let mut session = with_samples(100);
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    let wrong = DataOptions {
        preprocess: Some("unit".to_owned()),
        mean: Some(vec![50.0]),
        std: Some(vec![0.001]),
        ..DataOptions::default()
    };
    let path = "demo:fashion".to_owned();
    session.act(Action::OpenData { path, options: wrong });
    cancel(&mut session, Kind::Suggest);
    assert!(session.open().unwrap().at_chance().is_none());
    retry(&mut session);
    assert_eq!(
        session.open().unwrap().at_chance().unwrap().suggestions[0].preprocess,
        "fashion"
    );
}

#[test]
fn data_that_were_not_there_are_opened_when_they_are_retried_and_the_open_ones_stay_until_then() {
    let mut session = open("demo:shakespeare");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.txt");
    session.act(Action::OpenData {
        path: path.display().to_string(),
        options: DataOptions::default(),
    });
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(session.messages().last().unwrap().event, Event::Failed(Kind::LoadData));
    assert_eq!(session.open().unwrap().data().unwrap().name(), "demo:shakespeare");
    assert_eq!(session.open().unwrap().run_state(session.limit()), RunState::Done);
    let vocabulary = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/shakespeare_vocab.json");
    std::fs::copy(vocabulary, folder.path().join("late.vocab.json")).unwrap();
    std::fs::write(&path, "To be, or not to be, that is the question:\n".repeat(40)).unwrap();
    retry(&mut session);
    assert!(
        session.open().unwrap().data().unwrap().name().contains("late.txt"),
        "{:?}",
        session.messages()
    );
}
