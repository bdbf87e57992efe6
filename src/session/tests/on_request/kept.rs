//! What is kept: snapshots, recipes saved by name; and what another network ends.

use super::*;

#[test]
fn snapshots_keep_settings_with_their_results() {
    let mut session = open("demo:fashion");
    let first = recipe(&session);
    session.act(Action::TakeSnapshot(String::new()));
    let snapshot = |session: &Session, at: usize| session.open().unwrap().snapshots().all()[at].clone();
    let measured = session.open().unwrap().evaluated().unwrap().1.evaluation.clone();
    assert_eq!(snapshot(&session, 0).name, "A");
    assert_eq!(snapshot(&session, 0).evaluation, Some(measured.clone()));
    let planned = snapshot(&session, 0).planned.unwrap();
    assert_eq!(planned.layers.iter().flatten().count(), 21, "conv1 stays float");
    assert!(planned.macs.is_some());

    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    session.act(Action::TakeSnapshot(" five percent ".to_owned()));
    assert!(snapshot(&session, 1).evaluation.is_none(), "not measured yet");
    wait(&mut session);
    let second = snapshot(&session, 1);
    assert_eq!(second.name, "five percent");
    assert!(second.evaluation.is_some() && second.planned.unwrap().weights > 1.01);

    let (a, b) = (snapshot(&session, 0).id, second.id);
    let sides = [Side::Snapshot(a), Side::Present];
    session.act(Action::Watch(Watched {
        comparison: Some(sides),
        ..Watched::default()
    }));
    wait(&mut session);
    let open = session.open().unwrap();
    let [before, after] = &open.comparison(sides).unwrap().sides;
    assert!(
        before.grid.unwrap().step > after.grid.unwrap().step,
        "the split grid is finer"
    );
    assert!(after.histogram.counts.iter().sum::<u64>() > before.histogram.counts.iter().sum::<u64>());
    assert_eq!(
        open.side(Side::Present, 60).unwrap().evaluation,
        snapshot(&session, 1).evaluation
    );

    session.act(Action::RenameSnapshot {
        id: a,
        name: "plain".to_owned(),
    });
    session.act(Action::RestoreSnapshot(a));
    assert_eq!(
        (recipe(&session), snapshot(&session, 0).name.as_str()),
        (first, "plain")
    );
    session.act(Action::Undo);
    assert_eq!(recipe(&session).expand_ratio, 0.05, "restoring is one step of undo");
    session.act(Action::SetSampleLimit(30));
    wait(&mut session);
    assert_eq!(snapshot(&session, 1).evaluation.unwrap().samples, 30);
    // The first is plain, which was run anew beside the present recipe.
    let again = snapshot(&session, 0).evaluation.unwrap();
    assert_eq!(again.samples, 30, "numbers of other samples are not compared");
    session.act(Action::RemoveSnapshot(b));
    session.act(Action::RestoreSnapshot(b));
    assert_eq!(session.open().unwrap().snapshots().all().len(), 1);
}

#[test]
fn a_recipe_is_saved_by_name_applied_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let presets = UserPresets::at(folder.path().join("recipes"));
    let mut session = open_in(super::session().with_presets(presets), "demo:fashion");
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.07);
    session.act(Action::SavePreset("seven".to_owned()));
    wait(&mut session);
    assert_eq!(session.preset_names(), ["seven"]);
    edit(&mut session, false, |recipe| *recipe = Recipe::default());
    session.act(Action::ApplyUserPreset("seven".to_owned()));
    wait(&mut session);
    assert_eq!(recipe(&session).expand_ratio, 0.07);
    session.act(Action::Undo);
    assert_eq!(recipe(&session), Recipe::default());
    session.act(Action::DeletePreset("seven".to_owned()));
    wait(&mut session);
    assert!(session.preset_names().is_empty());
    session.act(Action::SavePreset("../evil".to_owned()));
    assert!(session.wait_until_idle(LIMIT));
    assert!(
        errors(&session)[0].contains("cannot name a preset"),
        "{:?}",
        errors(&session)
    );
}

#[test]
fn another_network_ends_what_was_asked_for() {
    let mut session = open("demo:fashion");
    session.act(Action::TakeSnapshot(String::new()));
    session.act(Action::StartSweep(grid()));
    wait_for(&mut session, |session| {
        !session.open().unwrap().sweep().rows().is_empty()
    });
    session.act(Action::Open(PathBuf::from("demo:shakespeare")));
    wait(&mut session);
    let open = session.open().unwrap();
    assert!(open.sweep().rows().is_empty() && open.snapshots().all().is_empty());
}
