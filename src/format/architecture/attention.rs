//! Attention with grouped heads (Ainslie et al. 2023): several heads of queries share one of keys and values.

use super::net::{Net, as_i64};
use super::transformer::Sequence;
use crate::onnx::build::{i64_tensor, int_attribute};

/// The sizes of an attention, and what is done to its scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grouped {
    /// Heads of queries.
    pub(super) heads: usize,
    /// Heads of keys and values, which divide them.
    pub(super) key_heads: usize,
    /// Channels of a head.
    pub(super) head: usize,
    /// Factor of the scores.
    pub(super) scale: f32,
    /// Scores are bent to stay below this (Gemma 2).
    pub(super) cap: Option<f32>,
}

impl Grouped {
    /// Of `heads` heads that share nothing, together `width` channels wide.
    pub(super) fn of_heads(heads: usize, width: usize) -> Self {
        let head = (width / heads.max(1)).max(1);
        Self {
            heads,
            key_heads: heads,
            head,
            scale: (head as f32).sqrt().recip(),
            cap: None,
        }
    }

    /// `value` `[batch, steps, heads * head]` by head: `[batch, heads, steps, head]`.
    pub(super) fn by_head(&self, net: &mut Net<'_>, value: &str, heads: usize, name: &str) -> String {
        let split = self.apart(net, value, heads, name);
        net.transpose(&split, &format!("{name}.by_head"), &[0, 2, 1, 3])
    }

    /// `value` as `[batch, steps, heads, head]`.
    pub(super) fn apart(&self, net: &mut Net<'_>, value: &str, heads: usize, name: &str) -> String {
        net.reshape(
            value,
            &format!("{name}.heads"),
            &[0, 0, as_i64(heads), as_i64(self.head)],
        )
    }

    /// What the steps see, of queries, keys and values `[batch, heads, steps, head]`; `mask` is added to the scores. Scores of
    /// grouped heads have the axes `[batch, key heads, heads of each, steps, steps]`.
    pub(super) fn mix(&self, net: &mut Net<'_>, [q, k, v]: [String; 3], mask: &str, module: &str) -> Sequence {
        let name = |part: &str| format!("{module}.{part}");
        let (sharing, width) = (self.heads / self.key_heads.max(1), self.heads * self.head);
        let q = if self.scale == 1.0 {
            q
        } else {
            net.scale(&q, &name("query.scaled"), self.scale)
        };
        let k = net.transpose(&k, &name("key.turned"), &[0, 1, 3, 2]);
        let (q, k, v) = if sharing == 1 {
            (q, k, v)
        } else {
            let shape = [0, as_i64(self.key_heads), as_i64(sharing), -1, as_i64(self.head)];
            let axis = net.constant(i64_tensor(name("groups.axis"), &[1], &[2]));
            let q = net.reshape(&q, &name("query.groups"), &shape);
            let [k, v] = [("key", k), ("value", v)].map(|(part, value)| {
                net.node(
                    "Unsqueeze",
                    &name(&format!("{part}.shared")),
                    [value, axis.clone()],
                    vec![],
                )
            });
            (q, k, v)
        };
        let mut scores = net.node("MatMul", &name("scores"), [q, k], vec![]);
        if let Some(cap) = self.cap {
            scores = net.soft_cap(&scores, &name("capped"), cap);
        }
        let scores = net.sum(&scores, mask, &name("masked"));
        let shares = net.node("Softmax", &name("shares"), [scores], vec![int_attribute("axis", -1)]);
        let mixed = net.node("MatMul", &name("mixed"), [shares, v], vec![]);
        let order: &[i64] = if sharing == 1 { &[0, 2, 1, 3] } else { &[0, 3, 1, 2, 4] };
        let together = net.transpose(&mixed, &name("by_step"), order);
        Sequence {
            value: net.reshape(&together, &name("together"), &[0, 0, as_i64(width)]),
            width,
        }
    }
}

impl Net<'_> {
    /// `cap * tanh(value / cap)`: numbers that stay below `cap`.
    pub(super) fn soft_cap(&mut self, value: &str, name: &str, cap: f32) -> String {
        let less = self.scale(value, &format!("{name}.divided"), 1.0 / cap);
        let bent = self.node("Tanh", &format!("{name}.tanh"), [less], vec![]);
        self.scale(&bent, name, cap)
    }
}
