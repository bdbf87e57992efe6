//! Softmax once reached from its axis over all behind it; since operator set 13 over that axis alone.

use super::*;

#[test]
fn softmax_keeps_working_over_all_axes_from_its_own_on() {
    let x = wave(&[2, 3, 4]);
    for (axis, rows) in [(Some(0), 1), (None, 2), (Some(1), 2), (Some(2), 6), (Some(-1), 6)] {
        let attributes: Vec<_> = axis.map(|axis| int_attribute("axis", axis)).into_iter().collect();
        let matrix: Vec<f32> = x.to_vec();
        let expected: Vec<f32> = matrix
            .chunks(24 / rows)
            .flat_map(|row| {
                let sum: f32 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(move |x| x.exp() / sum).collect::<Vec<_>>()
            })
            .collect();
        for sizes in [None, Some(&[2, 3, 4][..]), Some(&[-1, 3, -1])] {
            let new = upgraded(&model(11, sizes, one("Softmax", attributes.clone()), vec![]));
            let (shape, values) = run(&new, &x);
            assert_eq!(shape, [2, 3, 4]);
            let close = values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(
                close,
                "axis {axis:?}, sizes {sizes:?}: {values:?} instead of {expected:?}"
            );
        }
    }
}

#[test]
fn softmax_over_one_long_axis_only_gets_that_axis() {
    let axis_of = |sizes: &[i64], axis: Option<i64>| {
        let attributes: Vec<_> = axis.map(|axis| int_attribute("axis", axis)).into_iter().collect();
        let new = upgraded(&model(9, Some(sizes), one("LogSoftmax", attributes), vec![]));
        assert_eq!(nodes(&new).len(), 1, "{sizes:?}");
        attribute_int(&nodes(&new)[0], "axis")
    };
    assert_eq!(axis_of(&[-1, 10], None), Some(1));
    assert_eq!(axis_of(&[-1, 10, 1, 1], None), Some(1));
    assert_eq!(axis_of(&[1, 1, 10], Some(0)), Some(2));
    assert_eq!(axis_of(&[-1, -1, 10], Some(2)), Some(2));
    assert_eq!(axis_of(&[1, 1, 1], Some(1)), Some(1));
    assert_eq!(axis_of(&[2, 3, 4], Some(-1)), Some(-1));
}

#[test]
fn the_rank_before_a_softmax_is_followed_through_the_graph() {
    let after = |before: NodeProto, constants| {
        let softmax = node("Softmax", "s", ["h"], ["y"], vec![]);
        let sizes = [-1, 2, 8, 8];
        operators(&upgraded(&model(9, Some(&sizes), vec![before, softmax], constants)))
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let none: Vec<AttributeProto> = vec![];
    let flatten = node("Flatten", "f", ["x"], ["h"], none.clone());
    assert_eq!(after(flatten, vec![]), ["Flatten", "Softmax"]);
    let pool = node("GlobalAveragePool", "p", ["x"], ["h"], none.clone());
    assert_eq!(after(pool, vec![]), ["GlobalAveragePool", "Softmax"]);
    let reshape = node("Reshape", "r", ["x", "shape"], ["h"], none.clone());
    let shape = i64_tensor("shape", &[2], &[0, -1]);
    assert_eq!(after(reshape, vec![shape]), ["Reshape", "Softmax"]);
    let relu = node("Relu", "r", ["x"], ["h"], none);
    assert_eq!(after(relu, vec![]), ["Relu", "Flatten", "Softmax", "Shape", "Reshape"]);
}
