//! A fault of the program itself, in any job.

use super::*;

#[test]
fn a_panic_in_any_job_is_reported_and_the_session_lives() {
    let others = [
        Kind::Open,
        Kind::SaveSweep,
        Kind::ListPresets,
        Kind::ChangePresets,
        Kind::Export,
        Kind::LoadRecipe,
        Kind::Write(1),
    ];
    let derived = REGISTRY.iter().map(|entry| entry.kind);
    let kinds: Vec<Kind> = derived.chain(others).collect();
    let mut session = open("demo:fashion");
    for kind in &kinds {
        session
            .jobs
            .start(*kind, format!("{kind:?}"), |_| panic!("a fault in {}", "a job"));
        assert!(session.wait_until_idle(LIMIT), "{kind:?}: {:?}", session.running());
        let told = format!("{kind:?}: internal error (please report it): a fault in a job");
        assert_eq!(errors(&session).last(), Some(&told.as_str()));
    }
    // It still does what it is asked for.
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(4));
    session.act(Action::SelectLayer(5));
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert!(top1(&session) > 0.5);
    assert_eq!(errors(&session).len(), kinds.len());
}
