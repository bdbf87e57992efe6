//! The names that a pickle may use, and what becomes of a call of one.

/// What a call of a known name makes.
pub(super) enum Made {
    Dict,
    Items,
    TensorV2,
    TensorV3,
    /// Its first argument as it is.
    First,
    Opaque,
}

/// What becomes of a call of `name`; `None` for a name that is not known.
pub(super) fn made_by(name: &str) -> Option<Made> {
    Some(match name {
        "collections.OrderedDict" | "collections.defaultdict" | "collections.Counter" | "builtins.dict" => Made::Dict,
        "torch.Size" | "builtins.set" | "builtins.frozenset" | "builtins.list" | "builtins.tuple"
        | "__builtin__.set" => Made::Items,
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => Made::TensorV2,
        "torch._utils._rebuild_tensor_v3" => Made::TensorV3,
        "torch._utils._rebuild_parameter"
        | "torch._utils._rebuild_parameter_with_state"
        | "torch.jit._pickle.restore_type_tag"
        | "torch.jit._pickle.build_intlist"
        | "torch.jit._pickle.build_doublelist"
        | "torch.jit._pickle.build_boollist"
        | "torch.jit._pickle.build_tensorlist"
        | "torch._tensor._rebuild_from_type_v2" => Made::First,
        "torch.device"
        | "torch.serialization._get_layout"
        | "numpy.dtype"
        | "numpy.ndarray"
        | "numpy.core.multiarray.scalar"
        | "numpy.core.multiarray._reconstruct"
        | "numpy._core.multiarray.scalar"
        | "numpy._core.multiarray._reconstruct"
        | "_codecs.encode"
        | "copyreg._reconstructor"
        | "builtins.bytearray"
        | "builtins.complex"
        | "pathlib.PosixPath"
        | "pathlib.WindowsPath"
        | "pathlib.Path"
        | "datetime.datetime" => Made::Opaque,
        _ => return None,
    })
}

/// Whether `name` may stand in a stream as a name alone: element types, storages, classes whose objects only hold a state.
pub(super) fn is_known(name: &str) -> bool {
    let data_type = |name: &str| !name.contains('.');
    made_by(name).is_some()
        || name.strip_prefix("torch.").is_some_and(data_type)
        || name
            .strip_prefix("torch.storage.")
            .is_some_and(|name| name.ends_with("Storage"))
        || is_holder(name)
}

/// Classes whose objects are known to hold values by name and nothing else.
fn is_holder(name: &str) -> bool {
    // The classes of a TorchScript program are described in its archive; there is no code of Python behind them.
    name.starts_with("__torch__.")
        || matches!(
            name,
            "argparse.Namespace" | "types.SimpleNamespace" | "torch.nn.parameter.Parameter"
        )
}

/// The outermost package of a name.
pub(super) fn package(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
