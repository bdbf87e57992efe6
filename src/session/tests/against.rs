//! A second network beside the open one, and the report.

use super::*;

fn exported(session: &mut Session, kind: ExportKind, name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    session.act(Action::Export {
        kind,
        path: path.clone(),
    });
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(session), [""; 0]);
    (folder, path)
}

#[test]
fn an_export_beside_the_open_network_differs_as_its_plan_says() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    assert!(session.wait_until_idle(LIMIT));
    let (_folder, path) = exported(&mut session, ExportKind::Onnx, "out.onnx");
    session.act(Action::CompareWith(Some(path)));
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    let against = open.against().unwrap();
    assert_eq!(against.name, "out.onnx");
    assert!(against.notes[0].contains("folded"), "{:?}", against.notes);
    let plan = &open.planned().unwrap().1.plan;
    for (layer, planned) in against.difference.layers.iter().zip(&plan.layers) {
        let weights = layer.weights.as_ref().unwrap();
        match planned.quantized() {
            Some(quantized) => assert!((weights.sqnr_db - quantized.sqnr_db).abs() < 1e-3, "{}", planned.name),
            None => assert!(weights.is_equal(), "{}", planned.name),
        }
    }
    session.act(Action::CompareWith(None));
    assert!(session.open().unwrap().against().is_none() && session.open().unwrap().other().is_none());
}

#[test]
fn what_cannot_be_compared_is_told_and_can_be_tried_again() {
    let mut session = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.onnx");
    session.act(Action::CompareWith(Some(path.clone())));
    assert!(session.wait_until_idle(LIMIT));
    assert!(
        session
            .open()
            .unwrap()
            .against_failure()
            .unwrap()
            .to_string()
            .contains("late.onnx")
    );
    std::fs::write(&path, Demo::Fashion.model_bytes()).unwrap();
    session.act(Action::Retry);
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    assert_eq!(open.against().unwrap().difference.counts(), [22, 0, 0]);
    session.act(Action::CompareWith(Some(PathBuf::from("demo:shakespeare"))));
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    assert!(
        open.against_failure()
            .unwrap()
            .to_string()
            .contains("no layer in common")
    );
    assert!(open.against().is_none(), "nothing of the comparison before");
}

#[test]
fn a_comparison_is_cancelled_and_goes_with_its_network() {
    let mut session = open("demo:fashion");
    session.act(Action::CompareWith(Some(PathBuf::from("demo:fashion"))));
    let job = session.job(Kind::Difference).unwrap();
    session.act(Action::Cancel(job.id));
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    // It may have been through already.
    assert!(
        open.against().is_some() || open.against_failure() == Some(&JobError::Cancelled),
        "{:?}",
        open.against_failure()
    );
    session.act(Action::Open(PathBuf::from("demo:shakespeare")));
    assert!(session.wait_until_idle(LIMIT));
    assert!(session.open().unwrap().other().is_none());
}

#[test]
fn the_report_tells_the_numbers_that_the_preview_shows() {
    let mut session = open("demo:fashion");
    let (_folder, path) = exported(&mut session, ExportKind::Report, "report.html");
    let page = std::fs::read_to_string(path).unwrap();
    let open = session.open().unwrap();
    let metrics = &open.evaluated().unwrap().1.evaluation.quantized;
    let shown = format!("{:.1} %</td>", metrics.top1.unwrap() * 100.0);
    assert!(page.contains(&shown), "{shown}");
    assert!(page.contains("demo:fashion at 3 bits"));
}
