//! What earlier steps leave to know about a network whose graph no longer shows it.

use std::collections::HashMap;

/// The steps that a network went through before quantization, and what they learnt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preparation {
    /// Mean and standard deviation of each channel (axis 1) of a value that a batch-norm made before it was folded, by the
    /// value's name: the batch-norm's bias and |scale|.
    pub normalized: HashMap<String, Vec<[f32; 2]>>,
    /// What was done, in order, for a person.
    pub steps: Vec<String>,
}
