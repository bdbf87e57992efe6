//! Upsample and the first Resize, with the positions that they took.

use super::*;

#[test]
fn upsample_becomes_a_resize_that_repeats_elements() {
    let attribute_form = vec![AttributeProto {
        name: Some("scales".into()),
        r#type: Some(attribute_type::FLOATS),
        floats: vec![1.0, 1.0, 1.0, 2.0],
        ..AttributeProto::default()
    }];
    let input_form = vec![node("Upsample", "n", ["x", "s"], ["y"], vec![])];
    let scales = vec![float_tensor("s", &[4], &[1.0, 1.0, 1.0, 2.0])];
    let old = [
        model(7, None, one("Upsample", attribute_form), vec![]),
        model(9, None, input_form, scales),
    ];
    let x = Tensor::from_data(&[1, 1, 1, 3], vec![1.0, 2.0, 3.0]);
    for old in old {
        let new = upgraded(&old);
        assert_eq!(operators(&new), ["Resize"]);
        assert_eq!(nodes(&new)[0].input[1], "");
        assert_eq!(run(&new, &x), (vec![1, 1, 1, 6], vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0]));
    }
}

/// Positions as onnxruntime has them for operator set 10: truncated where an axis grows, rounded up where it shrinks.
#[test]
fn resize_rounds_down_when_it_enlarges_and_up_when_it_shrinks() {
    let old = |scales: &[f32], computed: bool| {
        let resize = node("Resize", "n", ["x", "s"], ["y"], vec![]);
        let (name, before) = if computed {
            let identity = node("Identity", "i", ["t"], ["s"], vec![]);
            ("t", vec![identity])
        } else {
            ("s", vec![])
        };
        let constants = vec![float_tensor(name, &[4], scales)];
        model(10, None, before.into_iter().chain([resize]).collect(), constants)
    };
    let x = Tensor::from_data(&[1, 1, 2, 4], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let cases = [
        // 0, 1.67 rounded up
        ([1.0_f32, 1.0, 1.0, 0.6], vec![1, 1, 2, 2], vec![1.0, 3.0, 5.0, 7.0], 1),
        // 0, 0.67, 1.33 rounded down
        (
            [1.0_f32, 1.0, 1.5, 1.0],
            vec![1, 1, 3, 4],
            vec![1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            1,
        ),
        (
            [1.0_f32, 1.0, 1.5, 0.6],
            vec![1, 1, 3, 2],
            vec![1.0, 3.0, 1.0, 3.0, 5.0, 7.0],
            4,
        ),
    ];
    for (scales, shape, values, count) in cases {
        let new = upgraded(&old(&scales, false));
        assert_eq!(nodes(&new).len(), count, "{scales:?}");
        assert_eq!(run(&new, &x), (shape.clone(), values.clone()), "{scales:?}");
        let new = upgraded(&old(&scales, true));
        assert_eq!(nodes(&new).len(), 5, "{scales:?}");
        assert_eq!(run(&new, &x), (shape, values), "computed {scales:?}");
    }
}
