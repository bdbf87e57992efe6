//! What is known of one layer before anything is done to it.

/// Which operator a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Convolution `W[O, I/g, k…]`.
    Conv,
    /// Transposed convolution `W[I, O/g, k…]`.
    ConvTranspose,
    /// `Gemm`, `W[O, I]` with `transB`, else `W[I, O]`.
    Gemm,
    /// `MatMul` with one constant side.
    MatMul,
    /// `LSTM`: one layer for W and one for R.
    Lstm,
    /// `GRU`: likewise.
    Gru,
    /// `RNN`: likewise.
    Rnn,
    /// Rows of a table `W[rows, width]`, looked up by `Gather`.
    Embedding,
    /// A tensor of a weights-only file.
    Tensor,
    /// A layer that is quantized already.
    Quantized,
    /// An operator that holds weights and is looked at only.
    Other,
}

impl LayerKind {
    /// Blocks of rows, one a gate, in the weights of a recurrent layer; `None` for every other.
    pub fn gates(self) -> Option<usize> {
        match self {
            Self::Lstm => Some(4),
            Self::Gru => Some(3),
            Self::Rnn => Some(1),
            Self::Conv
            | Self::ConvTranspose
            | Self::Gemm
            | Self::MatMul
            | Self::Embedding
            | Self::Tensor
            | Self::Quantized
            | Self::Other => None,
        }
    }

    /// Whether it is LSTM, GRU or RNN.
    pub fn is_recurrent(self) -> bool {
        self.gates().is_some()
    }
}

/// What can be done with a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// Split and quantize.
    Split,
    /// Quantize, not split; the reason, such as "depthwise: nothing to split".
    Quantize(Unsupported),
    /// Look only; the reason.
    View(Unsupported),
}

impl Support {
    /// Why the layer cannot be split, if it cannot.
    pub fn why_not_split(&self) -> Option<&Unsupported> {
        match self {
            Self::Split => None,
            Self::Quantize(why) | Self::View(why) => Some(why),
        }
    }

    /// Whether the layer can be put on a grid.
    pub fn can_quantize(&self) -> bool {
        !matches!(self, Self::View(_))
    }
}

/// Why a layer is not split, or is looked at only. What stands before a colon is the rule, what stands behind it the case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// It stands in a branch or in the body of a loop; the operator that holds these.
    #[error("inside {article} {0}: layers of branches and loop bodies are looked at only", article = article(.0))]
    Inside(String),
    /// Its weights are on a grid; what tells so.
    #[error("quantized already: {0}")]
    Quantized(String),
    /// Its weights are numbers of this type.
    #[error("weights are {0}, not floats")]
    NotFloats(String),
    /// The same in a file that holds no graph, where a scale may stand anywhere.
    #[error("weights are {0}: looked at without their scale")]
    WithoutScale(String),
    /// Each channel is convolved by itself.
    #[error("depthwise: nothing to split")]
    Depthwise,
    /// The tensor does not hold together.
    #[error("broken weight: {0}")]
    Broken(String),
    /// The tensor has no numbers.
    #[error("the weight holds no elements")]
    Empty,
    /// Its weight, or its table, is turned before it reads it.
    #[error("its {0} passes a Transpose, which is followed for matrices only")]
    Turned(&'static str),
    /// Its weight has fewer or more axes than its operator takes.
    #[error("{rule} the shape {shape:?}")]
    Rank {
        /// How many there should be, up to the verb.
        rule: &'static str,
        /// Those that there are.
        shape: Vec<usize>,
    },
    /// Its channels are not a multiple of its groups.
    #[error("its weight of shape {shape:?} cannot be divided into {groups} groups")]
    Groups {
        /// Shape of the weight.
        shape: Vec<usize>,
        /// What the operator says.
        groups: i64,
    },
    /// A product with a single row of numbers.
    #[error("the constant is a vector, not a matrix")]
    Vector,
    /// A Transpose of other axes than there are.
    #[error("the Transpose of its weight does not fit the weight")]
    Transpose,
    /// A cast to numbers that are no floats.
    #[error("its weight is cast to {0}")]
    Cast(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl From<String> for Unsupported {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl From<&str> for Unsupported {
    fn from(why: &str) -> Self {
        Self::Other(why.to_owned())
    }
}

/// Why an axis cannot be chosen as a layer's input channels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AxisError {
    /// The layer has an operator, which says where its channels are.
    #[error("a channel axis is chosen for tensors without a graph only; here {0} decides")]
    ByOperator(String),
    /// The weight has fewer axes.
    #[error("the channel axis is 0 to {} for the shape {shape:?}, not {axis}", .shape.len().saturating_sub(1))]
    OutOfRange {
        /// The axis.
        axis: usize,
        /// Shape of the weight.
        shape: Vec<usize>,
    },
}

fn article(operator: &str) -> &'static str {
    if operator.starts_with(['A', 'E', 'I', 'O', 'U']) {
        "an"
    } else {
        "a"
    }
}

/// Which axis of [`Layout`] is the output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutAxis {
    /// `groups * outer` output channels: Conv `W[O, I/g, k…]`, Gemm with `transB`.
    Outer,
    /// `inner / out_run` output channels (of each group): MatMul `W[I, O]`, ConvTranspose `W[I, O/g, k…]`.
    Inner,
}

/// How a weight tensor is read: row-major `[groups, outer, channels, inner]`.
///
/// Input channel j of the layer is `group * channels + channel`. Conv `W[O, I/g, kH, kW]` has `outer = O/g`,
/// `channels = I/g`, `inner = kH*kW`; Gemm with `transB` `W[O, I]` has `inner = 1`; MatMul `W[I, O]` has `outer = 1`,
/// `inner = O`; LSTM, GRU and RNN `W[D, gates*H, I]` and `R[D, gates*H, H]` have `outer = D*gates*H`, `inner = 1`;
/// ConvTranspose `W[I, O/g, kH, kW]` has `outer = 1`, `channels = I/g`, `inner = O/g*kH*kW`, `out_run = kH*kW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Groups of a grouped convolution, else 1.
    pub groups: usize,
    /// Rows before the input channel, in each group.
    pub outer: usize,
    /// Input channels in each group.
    pub channels: usize,
    /// Elements after the input channel.
    pub inner: usize,
    /// Where the output channels are.
    pub out_axis: OutAxis,
    /// Neighbouring elements of `inner` that belong to one output channel, where output channels are there: the kernel of a
    /// ConvTranspose, else 1.
    pub out_run: usize,
}

impl Layout {
    /// Input channels of the layer: `groups * channels`.
    pub fn in_channels(&self) -> usize {
        self.groups * self.channels
    }

    /// Output channels of the layer; of a grouped ConvTranspose those of one group, which share their axis with the other groups'.
    pub fn out_channels(&self) -> usize {
        match self.out_axis {
            OutAxis::Outer => self.groups * self.outer,
            OutAxis::Inner => self.inner / self.out_run.max(1),
        }
    }

    /// The output channel, of [`Layout::out_channels`], of element `place` of row `row` (rows of all groups counted through).
    pub fn out_channel(&self, row: usize, place: usize) -> usize {
        match self.out_axis {
            OutAxis::Outer => row,
            OutAxis::Inner => place % self.inner.max(1) / self.out_run.max(1),
        }
    }

    /// Elements of the tensor.
    pub fn elements(&self) -> usize {
        self.groups * self.outer * self.channels * self.inner
    }
}

/// Place of a node: the way down through subgraphs, then its position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NodePath {
    /// For each level: position of the node that holds the subgraph, and the attribute's name.
    pub subgraphs: Vec<(usize, String)>,
    /// Position among the nodes of that graph.
    pub node: usize,
}

/// Where a layer's weight tensor is kept, seen from the layer's own graph.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WeightSource {
    /// Way down to the graph that holds the tensor (a prefix of the layer's own way).
    pub subgraphs: Vec<(usize, String)>,
    /// The tensor there.
    pub tensor: TensorPlace,
    /// Positions (in that same graph) of the Identity, Transpose and Cast nodes between the tensor and the layer,
    /// tensor first; of QuantizeLinear and DequantizeLinear too, for a layer that is quantized already.
    pub chain: Vec<usize>,
}

/// A constant tensor in a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorPlace {
    /// Position among the initializers.
    Initializer(usize),
    /// Position of a `Constant` node.
    Constant(usize),
}

/// One layer: where its weight is and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The node's name or, if it has none, the weight's; unique in the network.
    pub name: String,
    /// Which operator.
    pub kind: LayerKind,
    /// The operator as the file spells it.
    pub op: String,
    /// Name of the weight tensor.
    pub weight: String,
    /// Shape of the weight tensor as stored.
    pub shape: Vec<usize>,
    /// How to read it.
    pub layout: Layout,
    /// Which input of the node the weight is (1 for Conv and Gemm; 0 for a MatMul with its constant on the left).
    pub weight_input: usize,
    /// Name of the value that the weights multiply, and the axis of its channels (negative counts from the end).
    pub input: Option<(String, i64)>,
    /// The axis of the stored tensor that a person chose as input channels, in a file without a graph to tell.
    pub chosen_axis: Option<usize>,
    /// What can be done with it.
    pub support: Support,
    /// The node; `None` in a weights-only file.
    pub node: Option<NodePath>,
    /// The weight's place.
    pub source: WeightSource,
}

impl Layer {
    /// [`Layer::weight_input`] of the layer R of a recurrent node.
    pub const RECURRENT_WEIGHT: usize = 2;

    /// Axis of the stored weight tensor that is the output channel.
    pub fn output_axis(&self) -> usize {
        match self.layout.out_axis {
            _ if self.kind.is_recurrent() => 1,
            OutAxis::Outer => 0,
            OutAxis::Inner => 1,
        }
    }

    /// Whether the stored tensor has an axis that tells the output channels apart, so that each can have a scale of its own: one
    /// with another axis chosen for its input channels may have them on two.
    pub fn takes_scales_per_channel(&self) -> bool {
        match self.chosen_axis {
            None | Some(1) => true,
            Some(axis) => axis == 0 && self.shape.len() == 2,
        }
    }

    /// Axis of the stored weight tensor that is the input channel (of one group).
    pub fn channel_axis(&self) -> usize {
        if let Some(axis) = self.chosen_axis {
            return axis;
        }
        match self.layout.out_axis {
            _ if self.kind.is_recurrent() => 2,
            OutAxis::Outer => 1,
            OutAxis::Inner => 0,
        }
    }

    /// Whether `axis` may be chosen as the layer's input channels.
    ///
    /// # Errors
    /// What is wrong with the choice.
    pub fn check_channel_axis(&self, axis: usize) -> Result<(), AxisError> {
        if self.kind != LayerKind::Tensor {
            return Err(AxisError::ByOperator(self.op.clone()));
        }
        if axis < self.shape.len() {
            return Ok(());
        }
        let shape = self.shape.clone();
        Err(AxisError::OutOfRange { axis, shape })
    }

    /// Elements of the weight.
    pub fn parameters(&self) -> u64 {
        self.layout.elements() as u64
    }
}
